"""CSV as spreadsheets and scripts write it: separators, encodings, comments, padded headers, blank columns.

What the file leaves open is decided from the whole of it and said; what it does not decide is refused with the option
that does. Rows are counted from 1, without the header, comments and blank lines.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence

from smemnas.bench.data.user_numbers import Cells
from smemnas.bench.data.user_sheet import Dialect, Sheet, as_table, check_names
from smemnas.bench.errors import DataError, UserError

#: Separators that are looked for; "|" is none of them, for it stands in names of architectures.
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: A line that is a comment; "#12" is the name of an architecture.
_COMMENT = re.compile(r"\s*#(?![0-9])")


class TextSheet(Sheet):
    """A CSV or TSV file in memory."""

    def __init__(self, file: str, data: bytes, separator: str | None, dialect: Dialect, arch: str) -> None:
        """Find out encoding and separator and read the header.

        Args:
            file: Name, for messages.
            data: Content.
            separator: What the ending of the file says.
            dialect: What the user says.
            arch: Column of architectures.

        Raises:
            UserError: An option that is none.
            DataError: A file that is no text, has no header, or two columns of one name.
        """
        self.file = file
        self._data = data
        self._encoding = _encoding(file, data, dialect.encoding)
        comment, header, told = self._header_line()
        # numpy.savetxt writes the header as a comment; a comment above a header may name the same columns
        chosen = _chosen(dialect.separator) or told or separator
        self._header_is_comment = _names(comment, arch, chosen) and not _names(header, arch, chosen)
        header = comment if self._header_is_comment else header
        self._separator = _separator(file, header, chosen, arch)
        names = self._split(header)
        self._header = names
        self.names = check_names(names, file)
        self.said = _said(self._encoding, self._separator)

    def cells(self, wanted: Sequence[str]) -> dict[str, Cells]:
        """Read columns as text, each cell without the blanks around it."""
        width = len(self._header)
        optional = width - next((i for i, name in enumerate(reversed(self._header)) if name), 0)
        at = [self._header.index(name) for name in wanted]
        columns: list[list[str]] = [[] for _ in wanted]
        adds = [(column.append, i) for column, i in zip(columns, at, strict=True)]
        number = 0
        try:
            for number, row in enumerate(self._rows(), 1):
                if not optional <= len(row) <= width:
                    _check_width(self.file, number, row, optional, width, self._separator)
                for add, i in adds:
                    add(row[i])
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{self.file} cannot be read as CSV behind row {number}: {error}.") from error
        return as_table(dict(zip(wanted, columns, strict=True)), self.file)

    def _lines(self) -> Iterator[str]:
        """Yield the lines that are neither comments nor the mark of the separator."""
        stream = io.TextIOWrapper(io.BytesIO(self._data), self._encoding, newline="")
        for number, line in enumerate(stream):
            if "#" in line and _COMMENT.match(line):
                continue
            if number == 0 and re.fullmatch(r"sep=.\s*", line):
                continue
            yield line

    def _rows(self) -> Iterator[list[str]]:
        """Yield the rows below the header that are not blank."""
        reader = csv.reader(self._lines(), delimiter=self._separator, strict=True, skipinitialspace=True)
        if not self._header_is_comment:
            for row in reader:
                if any(map(str.strip, row)):
                    break
        for row in reader:
            if row and (row[0].strip() or any(map(str.strip, row))):
                yield row

    def _header_line(self) -> tuple[str, str, str | None]:
        """Return the last comment before the header, the header, and the separator of a line "sep=;"."""
        stream = io.TextIOWrapper(io.BytesIO(self._data), self._encoding, newline="")
        comment, told = "", None
        for number, line in enumerate(stream):
            found = re.fullmatch(r"sep=(.)\s*", line) if number == 0 else None
            if found:
                told = found[1]
            elif _COMMENT.match(line):
                comment = line.strip().lstrip("#").strip()
            elif line.strip(" \t\r\n,;|"):
                return comment, line.rstrip("\r\n"), told
        if comment:
            return comment, comment, told
        raise DataError(f"{self.file} cannot be read: it has no header.")

    def _split(self, line: str) -> list[str]:
        try:
            (row,) = csv.reader([line], delimiter=self._separator, strict=True, skipinitialspace=True)
        except csv.Error as error:
            raise DataError(f"{self.file}: the header cannot be read as CSV: {error}.") from error
        return [name.strip() for name in row]


def _names(line: str, arch: str, separator: str | None) -> bool:
    """Whether a line may be a header, with whatever separator: one of its fields is the column of architectures."""
    signs = re.escape("".join(SEPARATORS) + (separator or ""))
    return arch in [name.strip(" \t\"'") for name in re.split(f"[{signs}]", line)]


def _encoding(file: str, data: bytes, given: str | None) -> str:
    """Return the encoding of a text: what the user says, what its first bytes say, UTF-8, else Windows-1252.

    Raises:
        UserError: No encoding of that name, or none of text.
        DataError: The text is none of that encoding.
    """
    if given is not None:
        try:
            if not codecs.lookup(given)._is_text_encoding:  # base64 and its like
                raise LookupError
            data.decode(given)
        except UnicodeError as error:
            raise DataError(f"{file} is no text in {given}: give another --encoding.") from error
        except (LookupError, ValueError) as error:
            raise UserError(
                f"no encoding {given!r}: --encoding takes utf-8, utf-16, latin-1, cp1252 and others."
            ) from error
        return given
    tried = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if tried is None and data[:200].count(0) * 3 > len(data[:200]):  # half of the bytes of plain names in UTF-16
        tried = "utf-16-le" if b"\0" in data[1:200:2] else "utf-16-be"
    for encoding in (tried,) if tried else ("utf-8", "cp1252", "latin-1"):
        try:
            data.decode(encoding)
        except UnicodeError:
            continue
        return encoding
    raise DataError(f"{file} cannot be read: it is no text in {tried}; --encoding names another one.")


def _chosen(given: str | None) -> str | None:
    """Return the separator that a user names.

    Raises:
        UserError: Not one character.
    """
    words = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}
    separator = given if given is None else words.get(given.lower(), given)
    if separator is not None and (len(separator) != 1 or separator in "\r\n\"'0123456789" or separator.isalpha()):
        raise UserError(f"--separator takes one character, or tab, got {given!r}.")
    return separator


def _separator(file: str, header: str, given: str | None, arch: str) -> str:
    """Return the separator of a header.

    Raises:
        DataError: Two of them would do.
    """
    if given is not None:
        return given
    fields: dict[str, list[str]] = {}
    for separator in SEPARATORS:
        row = next(csv.reader([header], delimiter=separator, skipinitialspace=True), [])
        if len(row) > 1:
            fields[separator] = [name.strip() for name in row]
    naming = [s for s, row in fields.items() if arch in row]
    likely = naming or list(fields)
    if len(likely) > 1:
        found = " and ".join(f"{SEPARATORS[s]}s" for s in likely)
        raise DataError(f"{file}: the header {header[:60]!r} has {found}: give --separator.")
    return likely[0] if likely else ","


def _check_width(file: str, number: int, row: Sequence[str], least: int, width: int, separator: str) -> None:
    """Refuse a row that is too short, or has more than blanks behind its columns.

    Raises:
        DataError: It is.
    """
    if len(row) < least:
        raise DataError(
            f"{file}, row {number}: {len(row)} of {width} fields, cut off? The first is {row[0][:40]!r}. Complete or "
            "remove the row."
        )
    if any(cell.strip() for cell in row[width:]):
        comma = separator == "," and any(re.fullmatch(r"\s*[0-9]+\s*", c) for c in row[width - 1 :])
        hint = " or a decimal comma: quote such values, or separate fields with ; (--separator)" if comma else ""
        raise DataError(
            f"{file}, row {number}: {len(row)} fields, the header names {width}; maybe a separator within a "
            f"value{hint or ': quote it, or give --separator'}."
        )


def _said(encoding: str, separator: str) -> tuple[str, ...]:
    """Return encoding and separator in words."""
    names = {"utf-8-sig": "UTF-8", "cp1252": "Windows-1252 (Latin-1)"}
    return (
        "CSV",
        names.get(encoding, encoding.upper()),
        f"separator {SEPARATORS.get(separator, repr(separator))}",
    )
