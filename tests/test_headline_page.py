"""The page of the registered experiment says what its files say, whatever came out."""

import csv
import dataclasses
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import docs_script
from msgspec.structs import replace
from scipy import stats

from smemnas.bench.gates import Gate
from smemnas.bench.library.staged import register
from smemnas.bench.metrics.power import chance_to_find
from smemnas.bench.report.cells import to_csv
from smemnas.bench.schema import signed
from smemnas.bench.staged.plan import check_staged, headline, headline_inside

MAKE, DATA, WORDS, FIGURE, SECTIONS, INSIDE = (
    docs_script(name)
    for name in (
        *("make_headline", "headline_data", "headline_words", "headline_figure", "headline_sections"),
        "inside_words",
    )
)
PLAN, THREE = check_staged(headline()), check_staged(headline_inside())
NOISE = np.random.default_rng(7).normal(0, 0.02, (3, 10))
PUBLISHED = [name for name in MAKE.PAGES if (MAKE.RESULTS / name / DATA.MADE).exists()]


def folder_with(place, lead, taus=(0.6, 0.6, 0.6), plan=PLAN):
    """Write the files of an experiment in which the first arm's hypervolume is larger by `lead`."""
    register(place, plan)
    entry = json.loads((place / "experiment.json").read_bytes())
    del entry["sum"]
    entry["environment"]["packages"]["torch"] = "2.13.0"  # there where it trains, perhaps not here
    (place / "experiment.json").write_text(json.dumps(signed(entry)))
    rng = np.random.default_rng(1)
    errors = 60 + rng.normal(0, 2, (12, 1)) + rng.normal(0, 1.5, (12, 3))
    archs = tuple(f"a{k}" for k in range(12))
    setting = {"size": 12, "recipe": {"epochs": 3}}
    costs, seconds = np.full(12, 0.8), np.full((12, 3), 13.0)
    Gate(plan.gate, setting, plan.space, plan.dataset, "flops", archs, costs, errors, seconds).save(place / "gate.json")
    arms = [arm.name for arm in plan.arms]
    rows = []
    for k, arm in enumerate(arms):
        values = {"primary": ("hypervolume", 0.5), "searched": ("as searched", 0.6)}
        for family, (what, level) in values.items():
            v = level + lead * (k == 0) + NOISE[k]
            rows += [{"family": family, "what": what, "arm": arm, "run": r, "value": x} for r, x in enumerate(v)]
        for cap in plan.caps:
            for r in range(10):
                row = {"family": "secondary", "what": f"flops <= {cap:g}", "arm": arm, "run": r}
                rows.append({**row, "value": 55.0 - 100 * lead * (k == 0) + 100 * NOISE[k, r]})
    for n in plan.ranking.sizes:
        for name, tau in zip(plan.ranking.surrogates, taus, strict=True):
            for r in range(20):
                row = {"family": "secondary", "what": f"tau at {n}", "arm": name, "run": r}
                rows.append({**row, "value": tau + 0.01 * np.sin(r * (1 + len(name)))})
    (place / "outcome.csv").write_text(to_csv(rows))
    trained = [
        {"stage": s, "arch": f"{s}{k}", "seed": 0, "val_error": 60.0 + k % 7, "seconds": 18.0, "reason": ""}
        for s in ("gate", "search", "fresh")
        for k in range(100)
    ]
    (place / "trainings.csv").write_text(to_csv(trained))
    searched = []
    for seed in plan.runs:
        for k, arm in enumerate(arms):
            for i in range(24):
                arch = ":".join(str(8 * (1 + v)) for v in (i % 8, i // 8, seed % 8, seed // 8, k * (i >= 20)))
                row = {"arm": arm, "seed": seed, "evaluation": i + 1, "arch": arch, "flops": 1.0 + i}
                searched.append({**row, "val_error": 60.0 - i, "fresh_test_error": 61.0})
    (place / "searches.csv").write_text(to_csv(searched))
    foreseen = {"table": "nats_sss/cifar10", "noise": 0.67, "d": 0.64, "low": 0.14, "high": 1.14}
    foreseen |= {"power": 0.42, "seeds": 10, "simulated": 20}
    (place / "foreseen.csv").write_text(to_csv([{"first": arms[0], "other": arm, **foreseen} for arm in arms[1:]]))
    (place / "made.txt").write_text("Made by smemnas 0.2.0 at commit 01234567\n")
    return place


def test_a_lead_is_said_with_its_numbers(tmp_path):
    text = MAKE.page(folder_with(tmp_path / "e", 0.05))
    d = 0.05 + NOISE[0] - NOISE[1]
    p = stats.wilcoxon(d, method="exact").pvalue
    short = text.split("\n\n")[3]
    assert "SMEM-NAS finds better networks than random: " in short
    assert f", {d.mean():+.3f} (95 % interval " in short
    assert f"10 seeds, exact p = {p:.4f}, registered before); error lower under 3 of 3 caps of cost." in short
    assert "With every number a training (nats_sss, 12 pixels, 3 epochs), " in short
    assert f"seen is {d.mean() / d.std(ddof=1):.2f} (" in short
    assert "Seeds that decide" not in text
    [row] = [line for line in text.splitlines() if line.startswith("| hypervolume of fresh")]
    assert row.endswith("| better |")
    [row, *_] = [line for line in text.splitlines() if line.startswith("| fresh error (%) at flops <= 0.28 M")]
    assert f"| {100 * -d.mean() + 200 * (NOISE[0] - NOISE[1]).mean():+.2f} [" in row  # less error is better
    assert "first 20 the same for both arms." in text
    assert "300 trainings (gate 100, search 100, fresh 100; 0 failed), 1.5 h of one core" in text


def test_a_loss_is_said_as_one(tmp_path):
    text = MAKE.page(folder_with(tmp_path / "e", -0.05))
    assert "SMEM-NAS finds worse networks than random: " in text
    assert "error lower under 0 of 3 caps" in text
    rows = [line for line in text.splitlines() if line.startswith(("| hypervolume of fresh", "| fresh error"))]
    assert len(rows) == 4
    assert all(row.endswith("| worse |") for row in rows)


def test_no_difference_comes_with_what_would_decide(tmp_path):
    place = folder_with(tmp_path / "e", 0.0)
    text = MAKE.page(place)
    assert "no difference is shown between SMEM-NAS and random: " in text
    d = NOISE[0] - NOISE[1]
    effect = abs(d.mean() / d.std(ddof=1))
    [seeds] = re.findall(r"the effect seen, d = -?[\d.]+: ([^;.]+)[;.]", text)
    if seeds.startswith("more"):
        assert chance_to_find(effect, 200, 1) < 0.8
    else:
        assert chance_to_find(effect, int(seeds), 1) >= 0.8 > chance_to_find(effect, int(seeds) - 1, 1)
    [seeds] = re.findall(r"the simulated effect, d = 0\.64: (\d+)", text)
    assert chance_to_find(0.64, int(seeds), 1) >= 0.8 > chance_to_find(0.64, int(seeds) - 1, 1)
    assert f"and the gate's ratio is {DATA.Experiment(place).gate.components.ratio.value:.2f} (" in text
    assert "A seed is about 20 trainings, 0.07 h of one core." in text


@pytest.mark.parametrize("lead", [0.0, 0.05, -0.05])
def test_the_answer_is_three_short_sentences(tmp_path, lead):
    text = MAKE.page(folder_with(tmp_path / "e", lead, (0.7, 0.6, 0.5)))
    before, _, after = text.partition("](headline.svg)")
    title, made, runs, short, *_ = before.split("\n\n")
    assert title.endswith("?")
    assert made == "Made by smemnas 0.2.0 at commit 01234567"
    assert runs.startswith("**Runs**: not kept; ")
    assert len(short.split()) < 120
    assert len(re.findall(r"[.!?](?= [A-Z]|$)", short)) == 3
    assert after.index("\n|") < after.index("\n## ")


@pytest.mark.parametrize(
    ("taus", "than_ranks", "than_values"),
    [
        ((0.7, 0.6, 0.5), "ahead of", "ahead of"),
        ((0.6, 0.6, 0.5), "not told from", "ahead of"),
        ((0.5, 0.5, 0.6), "not told from", "behind"),
    ],
)
def test_surrogates_are_told_apart_by_the_interval_of_the_lead(tmp_path, taus, than_ranks, than_values):
    e = DATA.Experiment(folder_with(tmp_path / "e", 0.0, taus))
    found = {(row.surrogate, row.n): f"{row.mean.value:.3f}" for row in e.taus}
    pairs, ranks, values = PLAN.ranking.surrogates
    few, many = min(PLAN.ranking.sizes), max(PLAN.ranking.sizes)
    r, v = f"{than_ranks} ranks ({found[ranks, many]})", f"{than_values} values ({found[values, many]})"
    if than_ranks == than_values:
        v = v.removeprefix(f"{than_values} ")
    joined = f"{r} and {v}." if than_ranks == than_values else f"{r}, {v}."
    assert WORDS.third_sentence(e).endswith(f"; after {many} pairs {found[pairs, many]}, {joined}")
    assert e.networks == 280
    assert f": after {few} of 280 networks pairs {found[pairs, few]}, {than_ranks} " in WORDS.third_sentence(e)


def test_the_picture_has_every_seed_and_every_effect(tmp_path):
    e = DATA.Experiment(folder_with(tmp_path / "e", 0.05))
    root = ElementTree.fromstring(FIGURE.figure(e))
    circles = [c for c in root.iter() if c.tag.endswith("circle")]
    assert len(circles) == 2 * 10 + 2 + 2 + 6  # seeds, means, key, effects
    columns = {}
    for c in circles[:20]:
        columns.setdefault(c.get("cx"), {})[c.get("fill")] = float(c.get("cy"))
    assert len(columns) == 10
    higher = [at[FIGURE.COLOURS[0]] < at[FIGURE.COLOURS[1]] for at in columns.values()]  # on the page
    assert higher == (0.05 + NOISE[0] > NOISE[1]).tolist()
    assert FIGURE.ticks(0.497, 0.66) == [0.45, 0.5, 0.55, 0.6, 0.65, 0.7]
    assert FIGURE.ticks(0.5, 0.5) == [0.5, 0.505]


def test_what_other_pages_say_of_it(tmp_path):
    begin, end = MAKE.marks("headline")
    page = f"before\n{begin}old\n{end}after\n"
    none = MAKE.mentioned(page, tmp_path, "x")
    assert none == f"before\n{begin}`study --plan headline` has no result in the repository yet.\n{end}after\n"
    some = MAKE.mentioned(none, folder_with(tmp_path / "e", 0.05), "h/README.md")
    said = "With every number a training (nats_sss, 12 pixels, 3 epochs), SMEM-NAS finds better"
    assert f"**What came out** ([page](h/README.md)): {said}" in some
    assert MAKE.mentioned(some, tmp_path, "x") == none


def test_the_answer_on_real_training_begins_with_it(tmp_path):
    trained, parts = docs_script("answer_trained"), docs_script("answer_parts")
    e = DATA.Experiment(folder_with(tmp_path / "e", 0.05))
    found = trained.of_the_experiment(e)
    text = parts.page("trained", found)  # refuses an answer that is too long
    assert found.answer[0] == WORDS.first_sentence(e)
    c = e.gate.components
    assert f"differ by {c.seed:.1f} points (standard deviation), networks of one cost by {c.architecture:.1f}" in text
    assert text.index("| hypervolume of fresh trainings (**primary**) |") < text.index("## How it was measured")
    assert "(../results/headline/experiment.md)" in text
    digits, images = text.index("(digits, 5 seeds"), text.index("On 12,000 images of CIFAR-10")
    assert text.index("](../results/headline/README.md)") < digits < images
    ElementTree.fromstring(found.figure)


def test_parts_exchanged_are_each_compared_with_the_whole(tmp_path):
    place = folder_with(tmp_path / "e", 0.05, plan=THREE)
    text = MAKE.page(place, "headline-inside")
    short = text.split("\n\n")[3]
    assert len(short.split()) <= MAKE.LONGEST
    rows = [line for line in text.splitlines() if line.startswith("| hypervolume of fresh")]
    differences = [0.05 + NOISE[0] - NOISE[k] for k in (1, 2)]
    ps = [stats.wilcoxon(d, method="exact").pvalue for d in differences]
    holm = [min(1.0, max(ps[k] * (2 if ps[k] == min(ps) else 1), min(2 * min(ps), 1))) for k in (0, 1)]
    for row, name, d, p in zip(rows, ("regression on ranks", "random candidates"), differences, holm, strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1] == name
        assert cells[4].startswith(f"{d.mean():+.3f} [")
        assert cells[6:] == [f"{p:.4f}", "better"]
        assert f"ith {name} instead it is worse: " in short
        [decides] = [
            line for line in text.splitlines() if line.startswith(f"| {name} | {d.mean() / d.std(ddof=1):.2f}")
        ]
        assert f"| {0.42 * 100:.0f} % |" in decides
    assert len([line for line in text.splitlines() if line.startswith("| fresh error")]) == 6
    assert "the first 20 the same for all arms." in text
    assert "* 2 primary tests, one family, at 0.05" in text
    assert "What was predicted" not in text
    root = ElementTree.fromstring(FIGURE.figure(DATA.Experiment(place)))
    circles = [c for c in root.iter() if c.tag.endswith("circle")]
    assert len(circles) == 3 * 10 + 3 + 3 + 2 * 5  # seeds, means, key, effects of two comparisons
    lost = MAKE.page(folder_with(tmp_path / "f", -0.05, plan=THREE), "headline-inside").split("\n\n")[3]
    assert lost.count("instead it is better: ") == 2
    same = MAKE.page(folder_with(tmp_path / "g", 0.0, plan=THREE), "headline-inside").split("\n\n")[3]
    assert same.count("instead no difference is shown: ") == 2


def test_trainings_in_common_with_the_first_experiment_are_set_beside_it(tmp_path, monkeypatch):
    before = folder_with(tmp_path / "before", 0.0)
    place = folder_with(tmp_path / "e", 0.0, plan=THREE)
    assert INSIDE.beside(DATA.Experiment(place)) == []  # has no training in common with the published one
    monkeypatch.setattr(INSIDE, "BEFORE", before)
    rows = list(csv.DictReader((place / "trainings.csv").read_text().splitlines()))
    moved = np.where(np.arange(len(rows)) % 2, 1.5, 0.5)
    for row, more in zip(rows, moved, strict=True):
        row["val_error"] = float(row["val_error"]) + more
    rows[0]["arch"] = "another"
    (place / "trainings.csv").write_text(to_csv(rows))
    text = INSIDE.beside(DATA.Experiment(place))[2]
    d = moved[1:]
    assert f" {len(d)} trainings have network and seed in common" in text
    assert f"by {d.mean():+.2f} points in the mean" in text
    assert f"deviation of {d.std(ddof=1):.2f}" in text


def test_a_published_gate_names_no_folder_of_a_machine(tmp_path):
    gate = DATA.Experiment(folder_with(tmp_path / "e", 0.0)).gate
    text = DATA.gate_text(dataclasses.replace(gate, setting={**gate.setting, "data": "/home/me/images/small.tar"}))
    assert "/home" not in text
    (tmp_path / "gate.json").write_text(text)
    read = DATA.read_gate(tmp_path / "gate.json")
    assert read.setting == {**gate.setting, "data": "small.tar"}
    np.testing.assert_array_equal(read.errors, gate.errors)


def test_searches_that_are_not_found_are_no_page_of_nothing(tmp_path):
    with pytest.raises(SystemExit, match=r"seed-0 has no log: call this where the command ran"):
        DATA.searches_of(PLAN, tmp_path, DATA.SPACES.create(PLAN.space), [])


def test_a_plan_cut_short_is_said_and_an_unfinished_folder_refused(tmp_path, monkeypatch):
    place = folder_with(tmp_path / "e", 0.05)
    assert "Not the whole plan" not in MAKE.page(place)
    monkeypatch.setitem(SECTIONS.STAGED, "headline", lambda: check_staged(replace(headline(), seeds="0-11")))
    assert "**Not the whole plan**: `headline` has 12 seeds and 40 trainings a search." in MAKE.page(place)
    with pytest.raises(SystemExit, match=r"has no experiment\.md: the experiment has not ended"):
        DATA.collected(place)


@pytest.mark.parametrize(
    ("name", "file"), [(name, file) for name, page in MAKE.PAGES.items() for file in page.mentions], ids=str
)
def test_pages_that_mention_it_are_current(name, file):
    text = file.read_text(encoding="utf-8")
    assert MAKE.marks(name)[0] in text
    kept = MAKE.mentioned(text, MAKE.RESULTS / name, MAKE.PAGES[name].mentions[file], name)
    assert kept == text, "python docs/make_headline.py"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_page_is_what_its_files_say(name):
    folder = MAKE.RESULTS / name
    kept = (folder / "README.md").read_text(encoding="utf-8")
    assert kept == MAKE.page(folder, name), "python docs/make_headline.py"
    e = DATA.Experiment(folder)
    assert (folder / MAKE.FIGURE).read_text(encoding="utf-8") == FIGURE.figure(e), "python docs/make_headline.py"
    from smemnas.bench.staged.outcome import volume

    for row in e.volumes:
        found = [volume(e.plan, s, s.fresh) for s in e.searches if s.arm == row.arm]
        np.testing.assert_allclose(found, row.values, rtol=1e-9)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.long
def test_taus_and_simulation_come_out_again(name):
    from smemnas.bench.staged.outcome import pooled, surrogate_taus
    from smemnas.bench.staged.power import foresee
    from smemnas.spaces.base import SPACES

    e = DATA.Experiment(MAKE.RESULTS / name)
    space = SPACES.create(e.plan.space)
    taus = surrogate_taus(space, *pooled(e.searches), e.plan.ranking)
    assert [row[:3] for row in taus] == [row[:3] for row in e.taus]
    for ours, kept in zip(taus, e.taus, strict=True):
        np.testing.assert_allclose(ours.values, kept.values, atol=1e-6)
    ratio = e.gate.components.ratio.value
    found = foresee(e.plan.space, ratio, e.plan.arms, budget=e.plan.budget, seeds=len(e.plan.runs))
    assert [f.d.value for f in found] == pytest.approx([f.d.value for f in e.foreseen], abs=1e-6)
