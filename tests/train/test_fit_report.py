"""What a fit reports of its network and its baseline."""

from smemnas.bench.fit.fit import report_text


def training(arch, **more):
    costs = {"params": 1.5e6, "madds": 25e6, "resolution": 32, "epochs": 3, "start": "random weights"}
    return {"arch": arch, "top1": 71.0, "top5": 97.5, "test_images": 400, "valid_top1": None, **costs, **more}


def test_what_must_be_known_of_an_accuracy_stands_below_the_table():
    seen = "12 of 400 test images are training images too."
    report = {
        "data": "photos",
        "network": training("r32-33-33-33-33-33", note=seen),
        "baseline": training("timm:lcnet_035", note=seen),
        "seconds": {"measuring": 20.0, "final": 70.0},
        "seconds_given": 100.0,
        "decisions": {},
    }
    lines = report_text(report).splitlines()
    assert lines.count(seen) == 1
    assert lines.index(seen) > max(k for k, line in enumerate(lines) if line.startswith("|"))
    for training_of in ("network", "baseline"):
        report[training_of].pop("note")
    assert seen not in report_text(report)
