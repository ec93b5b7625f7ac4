"""Images as they lie on disks: sub-folders, links, names, depths, changes; nothing is left out without a word."""

import os
import pickle
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e '.[train]'")

from small_images import data_home, opened_anew, write_folder, write_tar  # noqa: E402, F401

from smemnas.bench.errors import DataError, UserError  # noqa: E402
from smemnas.bench.train import image_files as data_files  # noqa: E402
from smemnas.bench.train import images as module  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402

SUITE = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("opened_anew")


@pytest.fixture
def pictures(tmp_path):
    """A folder of 3 classes with 4 images in each split, and what is in it."""
    return tmp_path / "pictures", write_folder(tmp_path / "pictures")


def training(source):
    """All training images of a source, with their labels."""
    module._open.cache_clear()
    parts = [open_images(str(source), split) for split in ("train", "valid")]
    order = np.argsort(np.concatenate([p.index for p in parts]))
    pixels, labels = (np.concatenate(v)[order] for v in ([p.take() for p in parts], [p.labels for p in parts]))
    return pixels, labels, parts[0].sha256


def refused(source, *words):
    module._open.cache_clear()
    with pytest.raises(DataError) as error:
        open_images(str(source), "train", valid_share=0.5)
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@pytest.fixture(autouse=True)
def larger_share(monkeypatch):
    """Four images per class, of which one is held out."""
    monkeypatch.setattr(module, "VALID_SHARE", 0.25)


def same_as_its_tar(folder, file):
    write_tar(folder, file)
    from_folder, from_tar = training(folder), training(file)
    np.testing.assert_array_equal(from_folder[0], from_tar[0])
    np.testing.assert_array_equal(from_folder[1], from_tar[1])
    assert from_folder[2] == from_tar[2]
    return from_folder


def test_images_in_sub_folders_of_a_class_are_read(pictures, tmp_path):
    folder, written = pictures
    more = folder / "train" / "cat" / "more"
    more.mkdir()
    (folder / "train" / "cat" / "00.png").rename(more / "00.png")
    pixels, labels, _ = same_as_its_tar(folder, tmp_path / "pictures.tar")
    np.testing.assert_array_equal(labels, written["train"][1])
    np.testing.assert_array_equal(pixels[3], written["train"][0][0])  # "more/00.png" comes after "03.png"
    np.testing.assert_array_equal(pixels[4:], written["train"][0][4:])


def test_tiny_imagenet_as_it_comes(pictures, tmp_path):
    """Images lie in CLASS/images, and the classes of `val` in a text file."""
    folder, written = pictures
    lines = []
    (folder / "val" / "images").mkdir(parents=True)
    for name in ("cat", "dog", "eel"):
        (folder / "train" / name / "images").mkdir()
        for file in sorted((folder / "train" / name).glob("*.png")):
            file.rename(file.parent / "images" / file.name)
        (folder / "train" / name / f"{name}_boxes.txt").write_text("0 0 1 1")
        for file in sorted((folder / "test" / name).glob("*.png")):
            file.rename(folder / "val" / "images" / f"{name}-{file.name}")
            lines.append(f"{name}-{file.name}\t{name}\t0\t0\t62\t62\n")
        (folder / "test" / name).rmdir()
    (folder / "test").rmdir()
    (folder / "val" / "val_annotations.txt").write_text("".join(reversed(lines)))
    pixels, labels, _ = same_as_its_tar(folder, tmp_path / "tiny.tar")
    np.testing.assert_array_equal(pixels, written["train"][0])
    np.testing.assert_array_equal(labels, written["train"][1])
    test = open_images(str(folder), "test")
    np.testing.assert_array_equal(test.take(), written["test"][0])
    np.testing.assert_array_equal(test.labels, written["test"][1])
    # Its own test images have no classes.
    (folder / "test" / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "test" / "images" / "test_0.png")
    refused(folder, "the images of test", "have no classes", "move test away")


@pytest.mark.parametrize("pack", [False, True], ids=["folder", "tar"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "train/cat/x.png").symlink_to("/nowhere/x.png"), ("x.png is a link to",)),
        (lambda f: (f / "train/gnu").symlink_to("/nowhere/gnu"), ("train/gnu is a link to",)),
        (lambda f: (f / "train/cat/00.png").rename(f / "train/00.png"), ("00.png lies beside the class folders",)),
        (lambda f: (f / "train/gnu/deep").mkdir(parents=True), ("train/gnu holds no images",)),
    ],
    ids=["dangling image", "dangling class", "stray", "empty"],
)
def test_what_cannot_be_read_is_named(pictures, tmp_path, spoil, words, pack):
    folder, _ = pictures
    spoil(folder)
    if pack:
        write_tar(folder, tmp_path / "pictures.tar")
    refused(tmp_path / "pictures.tar" if pack else folder, *words)


def test_one_class_is_no_data_set(tmp_path):
    write_folder(tmp_path / "one", classes=("cat",))
    refused(tmp_path / "one", "one class, 'cat'", "two classes at least")


def test_a_folder_that_contains_itself_is_named(pictures):
    folder, _ = pictures
    (folder / "train" / "cat" / "again").symlink_to(folder / "train" / "cat")
    refused(folder, "again is a link to a folder that contains it")


def test_links_are_read_in_a_folder_and_in_its_tar(pictures, tmp_path):
    folder, written = pictures
    cat = folder / "train" / "cat"
    for name in ("00.png", "01.png"):
        (cat / name).unlink()
    os.link(cat / "02.png", cat / "00.png")
    (cat / "01.png").symlink_to("../dog/03.png")
    pixels, _, _ = same_as_its_tar(folder, tmp_path / "linked.tar")
    wanted = written["train"][0].copy()
    wanted[0], wanted[1] = wanted[2], wanted[7]
    np.testing.assert_array_equal(pixels, wanted)
    # A class that is a link to a folder is read in place, and named in an archive that keeps the link.
    (folder / "train" / "dog").rename(tmp_path / "dogs")
    (folder / "train" / "dog").symlink_to(tmp_path / "dogs")
    (cat / "01.png").unlink()
    assert len(training(folder)[1]) == 11
    write_tar(folder, tmp_path / "class.tar")
    refused(tmp_path / "class.tar", "train/dog is a link to", "pack with --dereference")


def test_of_two_members_of_one_name_the_last_counts(pictures, tmp_path):
    """As in unpacking; `tar --update` makes such archives."""
    folder, written = pictures
    write_tar(folder, tmp_path / "twice.tar", top=".")
    Image.new("RGB", (8, 8), (1, 2, 3)).save(folder / "train" / "cat" / "00.png")
    with tarfile.open(tmp_path / "twice.tar", "a") as archive:
        archive.add(folder / "train" / "cat" / "00.png", arcname="train/cat/00.png")
    pixels, labels, _ = training(tmp_path / "twice.tar")
    assert (pixels[0] == (1, 2, 3)).all()
    np.testing.assert_array_equal(labels, written["train"][1])


def test_names_that_are_no_utf8(pictures, tmp_path):
    folder, written = pictures
    try:
        os.rename(folder / "train" / "cat" / "03.png", os.fsencode(folder / "train" / "cat") + b"/caf\xe9.png")
        for split in ("train", "test"):
            os.rename(folder / split / "dog", os.fsencode(folder / split) + b"/d\xf6g")
    except OSError:
        pytest.skip("set --basetemp to a file system that takes names of any bytes, such as ext4")
    pixels, labels, _ = same_as_its_tar(folder, tmp_path / "latin.tar")
    np.testing.assert_array_equal(pixels, written["train"][0])
    np.testing.assert_array_equal(labels, written["train"][1])
    assert open_images(str(folder), "train").classes == ("cat", "d\\xf6g", "eel")
    with open(os.fsencode(folder / "train" / "cat") + b"/caf\xe9.png", "wb") as file:
        file.write(b"no image")
    refused(folder, "caf\\xe9.png is no readable image")


NO_PATHS = ["x" * 300, "x/" * 3000, "~nobody-at-all/x", "a\0b/c"]


@pytest.mark.parametrize("name", NO_PATHS, ids=["long", "deep", "~", "NUL"])
def test_a_path_that_cannot_be_one_is_one_line(name):
    with pytest.raises(UserError, match=r"no (data set|folder or tar file)"):
        open_images(name, "train")


GREY = np.arange(64, dtype=np.int64).reshape(8, 8)


def decoded(tmp_path, image, ending, **options):
    """Save an image as every image of a folder; return how it was decoded."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / "modes" / split / name).mkdir(parents=True)
            for k in range(2):
                image.save(tmp_path / "modes" / split / name / f"{k}{ending}", **options)
    return open_images(str(tmp_path / "modes"), "test").take()[0]


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_grey_images_of_16_bits_are_scaled(tmp_path, ending):
    deep = (GREY * 1000 + 500).astype(np.uint16)
    found = decoded(tmp_path, Image.fromarray(deep), ending)
    np.testing.assert_array_equal(found[..., 0], np.rint(deep / 257).astype(np.uint8))
    assert (found == found[..., :1]).all()


def test_big_endian_images_of_16_bits_are_scaled(tmp_path):
    deep = (GREY * 1000 + 500).astype(">u2")
    raw = b"P5 8 8 65535\n" + deep.tobytes()
    image = Image.new("L", (8, 8))
    image.save = lambda path: Path(path).write_bytes(raw)  # Pillow writes no such file itself
    np.testing.assert_array_equal(decoded(tmp_path, image, ".pgm")[..., 1], np.rint(deep / 257).astype(np.uint8))


def test_images_with_a_part_of_their_range_are_noted(tmp_path, caplog):
    """12-bit images in files of 16 bits keep 16 grey values."""
    decoded(tmp_path, Image.fromarray((GREY * 64).astype(np.uint16)), ".png")
    assert "lie between 0 and 16 of 255" in caplog.text


@pytest.mark.parametrize(
    ("pixels", "kind"), [(GREY.astype(np.float32) / 64, "floating point"), (GREY.astype(np.int32) * 9999, "32-bit")]
)
def test_pixels_of_no_known_range_are_refused(tmp_path, pixels, kind):
    with pytest.raises(DataError, match=rf"0\.tif is no readable image \(its pixels are {kind}"):
        decoded(tmp_path, Image.fromarray(pixels), ".tif")


def test_modes_that_pillow_knows_by_colour(tmp_path, recwarn):
    """Transparency is dropped; palettes, inks and bits become the colours that they stand for."""
    rgb = np.zeros((8, 8, 3), np.uint8)
    rgb[:4] = (200, 30, 90)
    colour = Image.fromarray(rgb)
    alpha = Image.fromarray(np.repeat(np.arange(8, dtype=np.uint8)[:, None] * 30, 8, axis=1))
    see_through = colour.convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    grey = colour.convert("L")
    cases = {
        "rgba": (Image.merge("RGBA", [*colour.split(), alpha]), rgb, ".png", {}),
        "la": (Image.merge("LA", [grey, alpha]), np.repeat(np.asarray(grey)[..., None], 3, 2), ".png", {}),
        "p": (see_through, np.asarray(see_through.convert("RGB")), ".png", {"transparency": b"\x00\x80\xff\xff"}),
        "one": (grey.point(lambda v: v > 50, "1"), np.repeat(255 * (rgb[..., :1] > 0), 3, 2), ".png", {}),
        "cmyk": (colour.convert("CMYK"), rgb, ".tif", {}),
    }
    for name, (image, wanted, ending, options) in cases.items():
        np.testing.assert_array_equal(decoded(tmp_path / name, image, ending, **options), wanted, err_msg=name)
    assert not list(recwarn)


def test_replaced_images_of_the_same_names_and_lengths_are_decoded_anew(tmp_path, caplog, monkeypatch):
    """Uncompressed files of one size: only their content and their times tell them apart."""

    def write(value):
        for split in ("train", "test"):
            for name in ("a", "b"):
                (tmp_path / "raw" / split / name).mkdir(parents=True, exist_ok=True)
                for k in range(4):
                    Image.new("RGB", (8, 8), (value, 255 - value, k)).save(tmp_path / "raw" / split / name / f"{k}.ppm")

    monkeypatch.setattr(data_files, "WORTH_A_LINE", 0)
    write(10)
    before = training(tmp_path / "raw")
    write(200)
    after = training(tmp_path / "raw")
    assert (before[0][..., 0] == 10).all()
    assert (after[0][..., 0] == 200).all()
    assert before[2] != after[2]
    assert "holds an earlier state of" in caplog.text


def decoded_folder(home):
    (folder,) = (p for p in (home / "images" / "decoded").iterdir() if not p.name.startswith("."))
    return folder


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_flipped_bit_of_decoded_images_is_noticed(pictures, data_home, split):  # noqa: F811
    folder, _ = pictures
    training(folder)
    file = decoded_folder(data_home) / f"{split}-pixels.npy"
    content = bytearray(file.read_bytes())
    content[128 + 5 * 192 + 3] ^= 1  # in image 5 of 8 x 8 pixels, after the header
    file.write_bytes(content)
    module._open.cache_clear()
    images = open_images(str(folder), split)
    with pytest.raises(DataError, match=rf"decoded image 5 in {file} changed on the disk: remove {file.parent}"):
        images.take()
    others = np.flatnonzero(images.index != 5)
    assert len(images.take(others)) == len(others)


@pytest.mark.parametrize("name", ["header.json", "train-labels.npy", "train-sums.npy", "train-pixels.npy"])
def test_a_damaged_file_beside_decoded_images_is_one_line(pictures, data_home, name):  # noqa: F811
    folder, _ = pictures
    training(folder)
    file = decoded_folder(data_home) / name
    file.write_bytes(file.read_bytes()[:-2])
    refused(folder, f"the decoded images in {file.parent} cannot be read", "remove this folder")


def test_decoded_images_are_readable_by_colleagues(pictures, data_home):  # noqa: F811
    before = os.umask(0o022)
    try:
        training(pictures[0])
    finally:
        os.umask(before)
    folder = decoded_folder(data_home)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o644}


def test_what_killed_decodings_left_is_removed(pictures, tmp_path, data_home):  # noqa: F811
    training(pictures[0])
    place = decoded_folder(data_home)
    mine, other = (place.parent / f".{name}.0123abcd" for name in (place.name.split("-")[0], "fedcba987654"))
    busy = place.parent / ".0123456789ab.0123abcd"
    for left in (mine, other, busy):
        left.mkdir()
        (left / "train-pixels.npy").write_bytes(b"half")
    Image.new("RGB", (8, 8)).save(pictures[0] / "train" / "cat" / "new.png")
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); print('held', "
        "flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(place.parent / ".0123456789ab.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        training(pictures[0])
        holder.stdin.close()
    assert [left.exists() for left in (mine, other, busy)] == [False, False, True]


def test_a_full_disk_while_decoding_is_one_line(pictures, monkeypatch, data_home):  # noqa: F811
    real = np.save

    def full(file, *args, **options):
        if "sums" in str(file):
            raise OSError(28, "No space left on device")
        return real(file, *args, **options)

    monkeypatch.setattr(np, "save", full)
    refused(pictures[0], "cannot write", "the disk is full", "SMEMNAS_DATA")
    assert not [p for p in (data_home / "images" / "decoded").iterdir() if p.is_dir()]


def test_several_processes_decode_one_folder_once(pictures, data_home):  # noqa: F811
    code = (
        "import sys; from smemnas.bench.train.images import open_images; im = open_images(sys.argv[1], 'test'); "
        "print(im.sha256, im.take().sum())"
    )
    command = [sys.executable, "-P", "-c", code, str(pictures[0])]
    env = {**os.environ, "PYTHONPATH": str(SUITE)}
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) for _ in range(3)]
    lines = {process.communicate(timeout=100)[0] for process in several}
    assert [process.returncode for process in several] == [0, 0, 0]
    assert lines == {f"{training(pictures[0])[2]} {pictures[1]['test'][0].sum()}\n"}
    decoded_folder(data_home)


def test_another_process_gets_the_name_of_the_pixels_and_not_the_pixels(tmp_path):
    write_folder(tmp_path / "large", size=(64, 64))
    images = open_images(str(tmp_path / "large"), "train")
    sent = pickle.dumps(images)
    assert len(sent) < images.pixels.nbytes / 10
    there = pickle.loads(sent)
    np.testing.assert_array_equal(there.take(), images.take())
    assert isinstance(there.pixels, np.memmap)
    assert (there.sha256, there.classes) == (images.sha256, images.classes)
    digits = open_images("digits", "test")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(digits)).take(), digits.take())
