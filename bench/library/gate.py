"""A gate by itself: can a space show anything by such trainings? As the command `gate` asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from smemnas.bench.display import html_table
from smemnas.bench.errors import RunError, UserError
from smemnas.bench.files import make_folder
from smemnas.bench.gates import FILE, Gate, GateStage, read_gate
from smemnas.bench.log import logger
from smemnas.bench.outputs import GATE, claim
from smemnas.bench.report.staged.gate import write_gate
from smemnas.bench.report.terminal import Shown, shown_progress
from smemnas.bench.staged.gate import GatePower, measured_gate, power_of, trained_in
from smemnas.bench.staged.plan import check_trained
from smemnas.bench.staged.stages import trainings_in
from smemnas.bench.values import whole
from smemnas.bench.workers.backends import Place

#: Seeds beyond it are no experiment by training.
MOST_RUNS = 100


@dataclass(frozen=True)
class GateOptions:
    """A gate.

    Attributes:
        space: Registered space whose networks can be trained.
        dataset: Name of a training, train+DATA+RECIPE+KEY=VALUE; "" where `data`, `recipe` and `training` say it.
        data: Images; "" takes digits.
        recipe: Name of the recipe; "" takes the default of the images.
        training: Items "KEY=VALUE" of the recipe and the setting.
        networks: Architectures of one cost.
        seeds: Trainings of each.
        draw: Seed of the sample of architectures.
        cost: What they have in common.
        runs: Seeds of the experiment whose power is estimated.
        budget: Trainings of each of its searches.
        jobs: Networks trained side by side on the CPU; None takes one per CPU.
        device: Where networks are trained: "auto", "cpu", "cuda" or "cuda:N".
        out: Folder; None takes "runs/gate/SPACE".
    """

    space: str
    dataset: str = ""
    data: str = ""
    recipe: str = ""
    training: Sequence[str] = ()
    networks: int = 12
    seeds: int = 3
    draw: int = 0
    cost: str = "flops"
    runs: int = 10
    budget: int = 40
    jobs: int | None = 1
    device: str = "auto"
    out: str | Path | None = None


@dataclass(frozen=True, repr=False)
class GateFound:
    """What a gate found.

    Attributes:
        folder: Where its files are: gate.json, gate.csv, trainings.csv.
        gate: What was measured.
        power: What an experiment with it could show.
    """

    folder: Path
    gate: Gate
    power: GatePower

    def lines(self) -> list[str]:
        """Return it line by line."""
        verdict = "goes on" if self.gate.passed else "does not go on"
        asked = f"an experiment that asks for a ratio of {self.gate.stage.ratio:g} {verdict}"
        return [self.gate.line(), asked, *self.power.lines()]

    def _repr_html_(self) -> str:
        return html_table((), [], title=f"{self!r}"[1:-1], notes=self.lines())

    def __repr__(self) -> str:
        return f"<Gate of {self.gate.space}/{unquote(self.gate.dataset)}, in {self.folder}>"


def gate(options: GateOptions, *, progress: Shown = False) -> GateFound:
    """Train what is missing of a gate, write its files and return it, as the command `gate` does.

    One that was killed goes on in the middle of a training when it is called again. `SMEMNAS_TRAININGS` shares its
    trainings with other gates and experiments.

    Args:
        options: What to train.
        progress: Show a bar on a terminal or in a notebook, or call this with (trainings done, all).

    Raises:
        UserError: The space cannot be trained so, or a number makes no sense.
        DataError: The images are not there.
        RunError: The folder holds something else.
    """
    from smemnas.bench.train.devices import on_device

    whole("--runs", options.runs, 1, MOST_RUNS)
    whole("--budget", options.budget, 2)
    stage = GateStage(options.networks, options.seeds, draw=options.draw)
    stage.check()
    place = Place("loky", options.jobs)
    place.check()
    dataset = _dataset(options)
    out = Path(options.out or Path("runs") / "gate" / options.space).expanduser()
    claim(out, GATE)
    with on_device(options.device), trainings_in(out) as folder:
        benchmark = trained_in(folder, options.space, dataset, options.cost, place)
        _check_same(out, options.space, dataset, options.cost)
        make_folder(out)
        with shown_progress(f"gate in {out}", progress) as tell:
            found = measured_gate(benchmark, stage, options.cost, tell)
    power = power_of(found, seeds=options.runs, budget=options.budget)
    write_gate(out, found, power)
    made = GateFound(out, found, power)
    logger.info("%r", made)
    return made


def _dataset(options: GateOptions) -> str:
    """Return the name of the training.

    Raises:
        UserError: Options do not go together, or it has a training seed of its own.
    """
    from smemnas.bench.train.options import make_options, reseeded

    if options.dataset and (options.data or options.recipe or options.training):
        raise UserError("--dataset says data, recipe and all else of a training: leave out --data, --recipe, --train.")
    name = options.dataset or make_options(options.data or "digits", options.recipe, tuple(options.training)).name
    check_trained("a gate", name)
    return reseeded(name, None)


def _check_same(out: Path, space: str, dataset: str, cost: str) -> None:
    """Refuse a folder with the gate of another training; more networks or seeds of the same are welcome.

    Raises:
        RunError: It has one.
    """
    if not (out / FILE).exists():
        return
    known = read_gate(out / FILE)
    if (known.space, known.dataset, known.cost) != (space, dataset, cost):
        raise RunError(
            f"{out} holds the gate of {known.space}/{unquote(known.dataset)} at equal {known.cost}: choose another "
            "--out; SMEMNAS_TRAININGS lets both share their trainings."
        )
