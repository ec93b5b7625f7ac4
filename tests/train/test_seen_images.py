"""A supernet on images that changed: other classes are refused, and nothing that it was trained on is held out."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("PIL.Image", reason="needs the extra 'train': pip install -e '.[train]'")

from small_images import data_home, one_thread, opened_anew, write_folder  # noqa: E402, F401

from smemnas.bench.errors import DataError  # noqa: E402
from smemnas.bench.train import images as data  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import own_content, read, save  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402
from smemnas.bench.train.seen_images import describe_images, unseen  # noqa: E402
from smemnas.bench.train.supernet.benchmark import SupernetBenchmark, fine_tuned  # noqa: E402
from smemnas.bench.train.supernet.options import SupernetOptions  # noqa: E402
from smemnas.bench.train.supernet.plan import SupernetPlan  # noqa: E402

ARCH = "r8-3333-3333-3333-3333-3333"
STRIDES = (2, 2, 1, 1, 1)


pytestmark = pytest.mark.usefixtures("opened_anew", "one_thread")


@pytest.fixture
def pets(tmp_path):
    """A folder with 30 training images, of which 3 are held out, and the checkpoint of a supernet on it."""
    write_folder(tmp_path / "pets", per_class=10)
    return tmp_path / "pets", supernet_on(tmp_path / "pets", tmp_path / "net.pt")


def supernet_on(folder, file, forget=()):
    """Write an untrained supernet whose file says that it was trained on a folder."""
    torch.manual_seed(0)
    shape = Shape(0.1, 3, 1, STRIDES)
    plan = SupernetPlan(str(folder), width=0.1, strides=STRIDES)
    content = {
        **own_content(shape, Supernet(shape)), "plan": plan.to_dict(), "resolutions": [8], "epoch": 1, "metrics": [],
        **describe_images(open_images(str(folder), "train")),
    }  # fmt: skip
    save(file, {key: value for key, value in content.items() if key not in forget})
    return file


def reading(net, *more):
    return ("supernet", "eval", net, ARCH, "--device", "cpu", *more)


def rename_class(folder, before, after):
    for split in ("train", "test"):
        (folder / split / before).rename(folder / split / after)
    data._open.cache_clear()


def pixels_of(images):
    return {image.tobytes() for image in images.take()}


def test_unchanged_images_are_read_without_a_word(pets, call):
    folder, net = pets
    code, text, error = call(*reading(net))
    assert (code, error) == (0, "")
    assert text.rstrip().endswith(ARCH)
    splits = [open_images(str(folder), split) for split in ("train", "valid")]
    assert unseen(read(net), splits) == (splits, "")


@pytest.mark.parametrize("command", ["eval", "run", "fine-tune", "export"])
def test_a_renamed_class_is_refused(pets, tmp_path, call, fails, command):
    """It is another number now: every accuracy would be that of wrong labels."""
    folder, net = pets
    rename_class(folder, "cat", "zebra")
    words = "trained on other classes", "class 1 is 'cat' there and 'dog' here"
    if command == "eval":
        fails(reading(net, "--split", "test"), *words)
    if command == "export":
        fails(("export", net, ARCH, "--no-onnx", "--out", tmp_path / "out"), *words)
        assert not (tmp_path / "out").exists()
    if command == "run":
        fails(
            ("run", "--method", "random", "--evaluator", "supernet", "--checkpoint", net, "--budget", 2, "--out",
             tmp_path / "run"), *words,
        )  # fmt: skip
    if command == "fine-tune":  # the classifier starts anew, so other classes are no mistake
        bench = fine_tuned(SupernetOptions(net, epochs=1), ())
        assert not bench.space.same_classes


def test_a_network_does_not_inherit_the_classifier_of_other_classes(pets, tmp_path, call):
    folder, net = pets
    rename_class(folder, "cat", "zebra")
    code, _, error = call(
        "retrain", net, "--arch", ARCH, "--preset", "small", "--epochs", 1, "--set", "batch=9", "--set", "crop=1",
        "--device", "cpu", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, error
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["start_classifier"] == "random"
    assert result["classes"] == ["dog", "eel", "zebra"]
    assert "has other classes than the supernet" in error


def test_what_a_supernet_was_trained_on_is_not_held_out(pets, call):
    """The split is drawn by number; without one image it would be another one."""
    folder, net = pets
    trained = pixels_of(open_images(str(folder), "train"))
    kept = pixels_of(open_images(str(folder), "valid"))
    data._open.cache_clear()
    (folder / "train" / "cat" / "00.png").unlink()
    drawn = open_images(str(folder), "valid")
    assert pixels_of(drawn) & trained  # the fault that is avoided

    bench = SupernetBenchmark(SupernetOptions(net))
    held, seen = bench._valid.images, bench._train.images
    assert pixels_of(held) == kept
    assert pixels_of(seen) <= trained
    assert len(held) + len(seen) == 29
    for part in (held, seen):
        np.testing.assert_array_equal(part.labels, open_images_labels(folder)[part.index])
    (note,) = (note for note in bench.notes if "other images" in note)
    assert "were in its training; 3 that it was not trained on are held out instead" in note

    code, _, error = call(*reading(net))
    assert code == 0
    assert "holds other images than the supernet was trained on" in error


def open_images_labels(folder):
    """Class of every training image."""
    parts = [open_images(str(folder), split) for split in ("train", "valid")]
    labels = np.empty(sum(map(len, parts)), dtype=int)
    for part in parts:
        labels[part.index] = part.labels
    return labels


def test_nothing_left_to_hold_out_is_one_line(pets, tmp_path, fails):
    folder, net = pets
    for image in open_images(str(folder), "valid").index.tolist():
        (folder / "train" / ("cat", "dog", "eel")[image // 10] / f"{image % 10:02}.png").unlink()
    data._open.cache_clear()
    fails(reading(net), "trained on every image", "none can be held out")


def test_a_test_image_that_was_trained_on_is_said(pets, call):
    folder, net = pets
    index = int(open_images(str(folder), "train").index[0])
    shutil.copy(
        folder / "train" / ("cat", "dog", "eel")[index // 10] / f"{index % 10:02}.png", folder / "test/cat/new.png"
    )
    data._open.cache_clear()
    code, _, error = call(*reading(net, "--split", "test"))
    assert code == 0
    assert "1 of the test images were in its training" in error


def test_an_older_checkpoint_of_changed_images_is_refused_for_held_out_images_only(tmp_path, call, fails):
    write_folder(tmp_path / "pets", per_class=10)
    net = supernet_on(tmp_path / "pets", tmp_path / "net.pt", forget=("classes", "trained_images", "image_size"))
    assert call(*reading(net))[::2] == (0, "")
    data._open.cache_clear()
    (tmp_path / "pets" / "train" / "cat" / "00.png").unlink()
    fails(reading(net), "other images than the supernet was trained on", "restore the images")
    code, _, error = call(*reading(net, "--split", "test"))
    assert code == 0
    assert "is not known" in error


def test_other_images_of_the_same_classes_are_read_with_a_note(pets, tmp_path, call):
    _, net = pets
    write_folder(tmp_path / "more", per_class=10, seed=1)
    code, _, error = call(*reading(net, "--data", tmp_path / "more"))
    assert code == 0
    assert error.count("\n") == 1
    assert "holds other images than the supernet was trained on." in error


def test_the_same_images_elsewhere_are_the_same(pets, tmp_path, call):
    folder, net = pets
    shutil.copytree(folder, tmp_path / "copy")
    assert call(*reading(net, "--data", tmp_path / "copy"))[::2] == (0, "")


def test_a_fine_tuning_on_changed_images_is_refused(pets):
    folder, net = pets
    (folder / "train" / "cat" / "00.png").unlink()
    data._open.cache_clear()
    with pytest.raises(DataError, match="restore the images, or train the supernet again"):
        fine_tuned(SupernetOptions(net, epochs=1), ())


def test_a_retraining_on_changed_images_says_that_its_validation_is_too_good(pets, tmp_path, call):
    folder, net = pets
    (folder / "train" / "cat" / "00.png").unlink()
    data._open.cache_clear()
    code, _, error = call(
        "retrain", net, "--arch", ARCH, "--preset", "small", "--epochs", 1, "--set", "batch=9", "--set", "crop=1",
        "--device", "cpu", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, error
    assert "validation images were in its training, so the validation accuracy is too good" in error


def test_a_relative_path_is_kept_absolute_and_an_older_one_is_asked_for(tmp_path, monkeypatch, call, fails):
    write_folder(tmp_path / "pets", per_class=10)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path)
    code, _, error = call(
        "supernet", "train", "--data", "pets", "--width", 0.1, "--strides", "2,2,1,1,1", "--epochs", 1, "--batch", 9,
        "--random", 0, "--crop", 1, "--lr", 0.01, "--device", "cpu", "--quiet", "--out", "net",
    )  # fmt: skip
    assert code == 0
    assert error.count("\n") == 1  # three images are too few, and nothing else is worth a line
    assert "3 images for validation" in error
    content = read(tmp_path / "net" / "checkpoint.pt")
    assert content["plan"]["data"] == str(tmp_path / "pets")
    assert content["classes"] == ["cat", "dog", "eel"]
    assert len(content["trained_images"]) == 27
    content["plan"]["data"] = "pets"  # as older versions wrote it
    save(tmp_path / "old.pt", content)
    monkeypatch.chdir(tmp_path / "else")
    assert call(*reading(tmp_path / "net" / "checkpoint.pt"))[0] == 0
    fails(reading(tmp_path / "old.pt"), "trained on 'pets', a path relative to a folder", "--data")
    assert call(*reading(tmp_path / "old.pt", "--data", tmp_path / "pets"))[::2] == (0, "")
    monkeypatch.chdir(tmp_path)
    assert call(*reading(tmp_path / "old.pt"))[::2] == (0, "")


def put_into_the_test_split(folder):
    """Copy one training image there; return how messages tell of it."""
    index = int(open_images(str(folder), "train").index[0])
    source = folder / "train" / ("cat", "dog", "eel")[index // 10] / f"{index % 10:02}.png"
    shutil.copy(source, folder / "test/cat/new.png")
    data._open.cache_clear()
    return "1 of 31 test images were in its training, so the test accuracy is too good"


def test_a_search_says_that_its_report_reads_images_that_were_trained_on(pets, tmp_path, call):
    folder, net = pets
    said = put_into_the_test_split(folder)
    code, text, error = call(
        "run", "--method", "random", "--evaluator", "supernet", "--checkpoint", net, "--budget", 2, "--device", "cpu",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, error
    assert said in text
    assert any(said in note for note in fine_tuned(SupernetOptions(net, epochs=1), ()).notes)


def test_a_retraining_and_its_card_say_that_test_images_were_trained_on(pets, tmp_path, call):
    folder, net = pets
    said = put_into_the_test_split(folder)
    training = (
        "retrain", net, "--arch", ARCH, "--preset", "small", "--epochs", 1, "--set", "batch=9", "--set", "crop=1",
        "--device", "cpu", "--out",
    )  # fmt: skip
    code, _, error = call(*training, tmp_path / "out")
    assert code == 0, error
    assert said in error
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["test_images_seen"] == 1
    assert said in result["note"]
    assert call("export", tmp_path / "out", "--no-onnx")[0] == 0
    assert said in (tmp_path / "out" / "export" / "README.md").read_text()
    assert call(*training, tmp_path / "scratch", "--scratch")[0] == 0
    assert "test_images_seen" not in json.loads((tmp_path / "scratch" / "result.json").read_text())
