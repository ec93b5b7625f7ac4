"""Studies that take runs from archives, and plans in files: only what is new is run, and the tables are the same."""

import hashlib
import http.server
import io
import json
import shutil
import threading
import zipfile
from functools import partial

import numpy as np
import pytest
from conftest import ROOT

import smemnas
from smemnas.bench.archive.form import npy
from smemnas.bench.library.study import plan_of
from smemnas.bench.studies import against
from smemnas.bench.studies.discovery import read_plans
from smemnas.bench.studies.plan import check_plan
from smemnas.bench.studies.plan_file import read_plan, save_plan
from smemnas.bench.studies.published import PLANS

PLUGIN = ROOT / "docs" / "examples" / "my_method.py"
SMALL = {"spaces": ("toy",), "seeds": "0-1", "budget": 20, "figures": False}


def options(**given):
    return smemnas.StudyOptions(**{**SMALL, **given})


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two methods on one problem, two seeds."""
    out = tmp_path_factory.mktemp("against") / "small"
    smemnas.study(options(methods=("random", "nsga2"), out=out))
    return smemnas.make_archive([out]).path


def edited(archive, path, change):
    """Write an archive with another manifest, whose checksums fit."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(manifest, members)
    for name, data in members.items():
        manifest["members"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in {"manifest.json": json.dumps(manifest).encode(), **members}.items():
            file.writestr(name, data)
        file.comment = b"0" * 64
    path.write_bytes(stream.getvalue()[:-64] + hashlib.sha256(stream.getvalue()[:-64]).hexdigest().encode())
    return path


def made(out):
    """Methods of which a study has run folders."""
    return {json.loads(path.read_bytes())["job"]["method"] for path in out.rglob("job.json")}


# ---- stored runs


def test_only_the_new_method_is_run_and_the_tables_are_those_of_a_full_study(archive, tmp_path):
    said = []
    found = smemnas.study(
        smemnas.StudyOptions(methods=("rea",), against=str(archive), figures=False, out=tmp_path / "a"), say=said.append
    )
    whole = smemnas.study(options(methods=("random", "nsga2", "rea"), champion="rea", out=tmp_path / "b"))
    assert made(tmp_path / "a") == {"rea"}
    assert "stored runs: 4 of 6 that are compared" in said
    assert (found.plan.champion, found.plan.primary, found.plan.baseline) == ("rea", "rea", "random")
    assert repr(found.tables.rows) == repr(whole.tables.rows)
    assert repr(found.tables.champion) == repr(whole.tables.champion)
    assert (
        found.frame()
        .drop(columns=["seconds", "method_seconds"])
        .equals(whole.frame().drop(columns=["seconds", "method_seconds"]))
    )
    groups = smemnas.report(smemnas.ReportOptions(tmp_path / "a", tmp_path / "r", figures=False))
    assert (groups.n_runs, list(groups.unfinished)) == (6, [])


def test_a_plug_in_is_compared_by_the_command(archive, tmp_path, call, monkeypatch):
    monkeypatch.setattr(smemnas.METHODS, "_entries", dict(smemnas.METHODS._entries))  # no other test knows it
    out = tmp_path / "s"
    code, text, error = call(
        *("--plugin", PLUGIN, "study", "--against", archive, "--methods", "front-climber", "--jobs", "1"),
        *("--no-figures", "--out", out),
    )
    assert code == 0, error
    assert made(out) == {"front-climber"}
    assert "front-climber against each of the 2 other methods" in text
    again = call(
        *("--plugin", PLUGIN, "study", "--against", archive, "--methods", "front-climber", "--jobs", "1", "--quiet"),
        *("--no-figures", "--out", out),
    )
    assert again[0] == 0
    assert len(list((out / "stored").iterdir())) == 1


def test_methods_that_are_not_known_here_are_compared_all_the_same(archive, tmp_path):
    """Somebody else's archive, made by a plug-in that nobody here has."""

    def change(manifest, _):
        for group in manifest["jobs"]:
            if group["job"]["method"] == "nsga2":
                group["job"].update(method="theirs", plugins=[{"file": "theirs.py", "sha256": "5" * 64}])
        for plan in manifest["plans"]:
            for variant in plan["variants"]:
                variant.update({"name": "theirs", "method": "theirs"} if variant["name"] == "nsga2" else {})

    theirs = edited(archive, tmp_path / "theirs.runs", change)
    found = smemnas.study(options(spaces=(), methods=("rea",), against=str(theirs), out=tmp_path / "s"))
    assert {t.variant: t.status for t in found.tables.trials} == dict.fromkeys(("random", "theirs", "rea"), "done")


def test_runs_that_cannot_be_used_are_left_out_by_name_or_made_here(archive, tmp_path):
    def change(manifest, members):
        manifest["problems"][0]["decimals"][0] = -1
        n = manifest["problems"][0]["rows"]
        members["problem-0/objective-0.npy"] = npy(1.0 + np.arange(n))

    other = edited(archive, tmp_path / "other.runs", change)
    said = []
    left = smemnas.study(options(methods=("rea",), against=str(other), out=tmp_path / "a"), say=said.append)
    assert any(line.startswith("left out: nsga2, 2 runs: its log was changed") for line in said), said
    assert left.failed
    assert made(tmp_path / "a") == {"rea"}
    save_plan(tmp_path / "p.toml", read_plans_of(archive))
    said.clear()
    added = smemnas.study(
        options(plan=str(tmp_path / "p.toml"), spaces=(), add=("rea",), archives=(str(other),), out=tmp_path / "b"),
        say=said.append,
    )
    assert sum(line.startswith("run here, for the stored ones cannot be used") for line in said) == 2
    assert not added.failed
    assert made(tmp_path / "b") == {"rea", "random", "nsga2"}


def test_runs_that_the_archive_does_not_have_are_named(archive, tmp_path):
    said = []
    smemnas.study(options(methods=("rea",), against=str(archive), seeds="0-2", out=tmp_path / "a"), say=said.append)
    assert "left out: random, 1 run: not in the archive" in said
    assert "stored runs: 4 of 9 that are compared" in said


@pytest.mark.parametrize("part", [(1, 1), (3, 3)])
def test_what_the_seeds_can_show_counts_the_pairs_that_archives_have(archive, tmp_path, part):
    """Of ten seeds the archive has two: the ten that are run here give two pairs."""
    said, given = [], {"methods": ("rea",), "against": str(archive), "seeds": "0-9", "part": part}
    found = smemnas.study(options(**given, out=tmp_path / "a"), say=said.append)
    assert said[1].startswith("2 pairs: no difference can be shown, the smallest p after Holm is 1; 7 pairs can show")
    assert not any("seeds" in line for line in said[1:] if "pair" in line)
    if part == (1, 1):
        assert {r.comparison.pairs for r in found.tables.champion} == {2}


@pytest.fixture
def served(archive):
    """Address of the archive on this machine."""
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=archive.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{archive.name}"
        server.shutdown()


def test_an_archive_by_its_address(archive, served, use_embedded, fails):
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert smemnas.open_archive(served).sha256 == digest
    assert len(smemnas.open_archive(f"{served}#sha256={digest}").runs) == 4
    fails(["archive", "info", f"{served}#sha256={'0' * 64}"], "cannot download", "wrong checksum")
    fails(["archive", "info", f"{served}x"], "cannot download", "404")


# ---- plans


def read_plans_of(archive):
    from smemnas.bench.schema import PlanEntry, decode
    from smemnas.bench.studies.plan import plan_from

    (entry,) = smemnas.open_archive(archive).plans
    return plan_from(decode(json.dumps(entry).encode(), PlanEntry, "it"), archive)


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_comes_back_from_its_file(name, tmp_path):
    plan = PLANS[name]()
    save_plan(tmp_path / "p.toml", plan)
    assert read_plan(tmp_path / "p.toml").to_dict() == {**plan.to_dict(), "of": _origin(tmp_path / "p.toml")}


def _origin(file):
    name, sha256 = read_plan(file).origin
    return {"name": name, "sha256": sha256}


def test_a_plan_written_by_hand(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'seeds = "0-2"\nbudget = 12\ncases = [{ space = "toy", dataset = "", objectives = ["error", "flops"] }]\n'
        '[[variants]]\nname = "random"\n[[variants]]\nname = "wide"\nmethod = "nsga2"\nparams = { population = 40 }\n'
    )
    plan = check_plan(plan_of(smemnas.StudyOptions(plan=str(file))))
    assert plan.seeds == (0, 1, 2)
    assert [(v.name, v.method, dict(v.params)) for v in plan.variants] == [
        ("random", "random", {}),
        ("wide", "nsga2", {"population": 40}),
    ]


def test_an_edited_plan_is_noticed(tmp_path, call):
    file, out = tmp_path / "mine.toml", tmp_path / "s"
    args = ("--methods", "random,rea", "--spaces", "toy", "--seeds", "0", "--budget", "5")
    code, text, _ = call("study", *args, "--save-plan", file)
    assert (code, "2 runs; run it with --plan" in text) == (0, True)
    run = ("study", "--plan", file, "--jobs", "1", "--no-figures", "--quiet", "--out", out)
    assert "edited" not in call(*run)[2]
    file.write_text(file.read_text() + "\n# a comment changes nothing\n")
    assert "edited" not in call(*run)[2]
    file.write_text(file.read_text().replace("budget = 5", "budget = 6"))
    code, _, error = call(*run)
    assert "mine.toml was edited since this study began" in error
    assert [plan.origin[0] for plan in read_plans(out / "plans.json")] == ["mine.toml"] * 2


def test_plans_are_listed_with_their_size(call, monkeypatch, archive, tmp_path):
    code, text, _ = call("list", "plans")
    assert code == 0
    assert "five-problems" in text
    assert "17 methods on 5 problems, 31 seeds, 340 evaluations: 2,535 runs" in text
    assert "16 methods on 1 problem, 31 seeds" in text
    assert "headline-inside  registered experiment: 3 methods on nats_sss, 10 seeds, 40 trainings a search" in text
    monkeypatch.setattr(against, "SHIPPED", tmp_path)
    shutil.copy(archive, tmp_path / "ablation.runs")
    assert "4 of them are stored, made in about 1 minutes of one core" in call("list", "plans")[1]


def test_a_registered_experiment_is_known_as_one(fails):
    fails(["study", "--plan", "headlin"], "no plan 'headlin'. Did you mean 'headline'")
    fails(["study", "--against", "headline", "--methods", "random"], "runs by itself: study --plan headline")


def test_the_archive_of_a_published_plan_is_found(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(against, "SHIPPED", tmp_path)
    monkeypatch.setitem(PLANS, "small", partial(read_plans_of, archive))
    shutil.copy(archive, tmp_path / "small.runs")
    found = smemnas.study(smemnas.StudyOptions(methods=("rea",), against="small", figures=False, out=tmp_path / "s"))
    assert (made(tmp_path / "s"), len(found.tables.trials)) == ({"rea"}, 6)
    smemnas.study(smemnas.StudyOptions(plan="small", figures=False, seeds="0", out=tmp_path / "anew"))
    assert made(tmp_path / "anew") == {"random", "nsga2"}  # a plan alone is run


def test_shipped_archives_hold_what_their_plans_ask_for():
    """Every archive of the package is of a plan that is published, and all of its bytes are checked."""
    for file in sorted(against.SHIPPED.glob("*.runs")):
        plan = PLANS[file.stem]()
        archive = smemnas.open_archive(file)
        jobs = [run.job()[0] for run in archive.runs]
        wanted = len(plan.cases) * sum(len(plan.seeds_for(variant)) for variant in plan.variants)
        assert len(jobs) == wanted
        assert {job.budget for job in jobs} == {plan.budget}
        assert {job.method for job in jobs} == {variant.method for variant in plan.variants}
        assert all(run.status().status == "done" for run in archive.runs)


@pytest.mark.long
def test_shipped_archives_are_what_todays_code_makes():
    for file in sorted(against.SHIPPED.glob("*.runs")):
        found = smemnas.verify_archive(smemnas.VerifyOptions(file, sample=2))
        assert found.identical == len(found.checked) == 2


DATE = "bad.toml: a: parameter 'population': a value is a number, a text, a list or a mapping of names, got 2024-01-01"


def test_mistakes_are_one_line(archive, tmp_path, fails):
    toml = tmp_path / "bad.toml"
    text = 'seeds = [0]\nbudget = 5\ncases = [{ space = "toy", dataset = "", objectives = ["error"] }]\n'
    fails(["study", "--against", archive], "name them with --methods")
    fails(["study", "--against", archive, "--plan", "ablation", "--methods", "rea"], "leave out --plan and --add")
    fails(["study", "--against", archive, "--methods", "nsga2"], "has a method 'nsga2' already")
    fails(["study", "--against", "ablatio", "--methods", "rea"], "Did you mean 'ablation'?")
    fails(["study", "--against", "ablation", "--methods", "rea"], "give --archive PATH", "--add rea")
    fails(["study", "--plan", "ablation", "--methods", "rea"], "--add adds some")
    fails(["study", "--methods", "rea", "--add", "nsga2"], "--add adds methods")
    fails(["study", "--plan", tmp_path / "none.toml"], "cannot read the plan")
    for content, words in (
        ("seeds = [", "is not of the form"),
        (text, "missing required field `variants`"),
        (f'{text}baseline = "x"\nvariants = [{{ name = "rea" }}]', "speaks of 'x'"),
        (f'{text}news = 1\nvariants = [{{ name = "rea" }}]', "news"),
        (text.replace("[0]", '"a"') + 'variants = [{ name = "rea" }]', "bad.toml: seeds"),
        (f'{text}variants = [{{ name = "raa" }}]', "Did you mean"),
        (f'{text}target = nan\nvariants = [{{ name = "rea" }}]', "bad.toml: target takes a finite number, got nan"),
        (f'{text}target = -inf\nvariants = [{{ name = "rea" }}]', "bad.toml: target takes a finite number"),
        (f'{text}budget_time = inf\nvariants = [{{ name = "rea" }}]', "bad.toml: budget_time takes a finite number"),
        (f'{text}variants = [{{ name = "a", method = "nsga2", params = {{ population = 2024-01-01 }} }}]', DATE),
        (
            f'{text}variants = [{{ name = "a", method = "nsga2", params = {{ x = [1.0, nan] }} }}]',
            "'x': numbers are finite",
        ),
    ):
        toml.write_text(content)
        fails(["study", "--plan", toml], words)
    (tmp_path / "mine.toml").write_text("mine = 1")
    fails(["study", "--methods", "rea", "--spaces", "toy", "--save-plan", tmp_path / "mine.toml"], "was not written by")
