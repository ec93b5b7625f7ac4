"""A page of tables alone, with the style, the sorting and the policy of a report's page."""

from __future__ import annotations

from collections.abc import Sequence

from smemnas.bench.colours import style_rules
from smemnas.bench.report.page import html as tags
from smemnas.bench.report.page.page import digest, embed, fill, read_asset


def plain_page(
    title: str, lead: Sequence[str], parts: Sequence[tuple[str, str, str]], footer: str, methods: Sequence[str] = ()
) -> str:
    """Return a page of sections without charts, with the same style, script and policy.

    Args:
        title: Of the page, as text.
        lead: Paragraphs below it, as text.
        parts: For each section its key, its title as text, and what is in it as HTML.
        footer: HTML.
        methods: Names whose rows (``data-m``) can be hidden.
    """
    links = "".join(f'<li><a href="#{key}">{tags.text(word)}</a></li>' for key, word, _ in parts)
    body = "\n".join(f'<section id="{key}"><h2>{tags.text(word)}</h2>\n{inner}</section>' for key, word, inner in parts)
    style = read_asset("page.css") + style_rules()
    script = f"(() => {{\n'use strict';\n{read_asset('charts.js')}{read_asset('page.js')}}})();\n"
    words = {"title": tags.text(title), "lead": tags.paragraphs(lead), "links": links, "body": body, "footer": footer}
    code = {"style": style, "style_sha256": digest(style), "script": script, "script_sha256": digest(script)}
    return fill(read_asset("page.html"), {**words, **code, "data": embed({"methods": list(methods), "problems": []})})
