"""`gate`: can a space show anything by such trainings?"""

from __future__ import annotations

from typing import Any

import click

from smemnas.bench.commands.common import BUDGET, FOLDER, JOBS, SEED, Command, Whole, device_option

#: Networks, and trainings of each.
SOME = Whole(2, 1000)


@click.command("gate", cls=Command)
@click.option("--space", required=True, help="Registered search space: nb201, nb101, nats_sss, macro, mnv3.")
@click.option("--dataset", default="", help="A training by its name, train+DATA+RECIPE+KEY=VALUE, as a study has it.")
@click.option("--data", default="", help="Or: images, as `run --evaluator train` takes them.  [default: digits]")
@click.option("--recipe", default="", help="Its recipe, as there.")
@click.option(
    "--train",
    "training",
    multiple=True,
    metavar="KEY=VALUE",
    help="A field of the recipe, or channels, cells, size, valid_share, (mnv3) width, stem, choices, resolutions, or "
    "grouped=K: train K seeds of a network as one. Repeatable.",
)
@click.option("--networks", type=SOME, default=12, show_default=True, help="Networks of about one cost.")
@click.option("--seeds", type=SOME, default=3, show_default=True, help="Trainings of each, seed by seed.")
@click.option("--draw", type=SEED, default=0, show_default=True, help="Another number draws other networks.")
@click.option("--cost", default="flops", show_default=True, help="What the networks have in common.")
@click.option(
    "--runs", type=Whole(1, 100), default=10, show_default=True, help="Seeds of an experiment, for its power."
)
@click.option("--budget", type=BUDGET, default=40, show_default=True, help="Trainings of each of its searches.")
@click.option("--jobs", type=JOBS, help="Networks trained side by side on the CPU.  [default: one per CPU]")
@device_option
@click.option("--out", type=FOLDER, help="Folder of the gate.  [default: runs/gate/SPACE]")
@click.option("--quiet", is_flag=True, help="No progress bar and no figures.")
def gate_command(quiet: bool, **given: Any) -> None:
    """Measure whether a space can show anything by such trainings, before anything is searched.

    Networks of about one cost are trained with several seeds each. The standard deviation between networks over that
    between the trainings of one, with its interval, says what a search sees: architectures, or chance. With it come
    the seconds of a training, and the power of an experiment with some seeds: how often so many trainings of each tell
    two networks of one cost apart, and, on a table of the space, simulated with such noise, how often SMEM-NAS is told
    from random search.

    Writes gate.json, gate.csv (one row of figures) and trainings.csv. One that was killed goes on in the middle of a
    training; more --networks or --seeds can be asked for later. With SMEMNAS_TRAININGS its trainings are shared with
    `study --plan headline`, whose first stage it is.

    \b
    Examples:
      python -m smemnas gate --space nats_sss --data cifar10-12k --recipe nats-cpu-half --train size=12 \\
          --train valid_share=0.3 --jobs 2
      python -m smemnas gate --space nb201 --dataset train+digits+tiny --networks 4 --seeds 2 --out runs/gate-nb201
    """
    from smemnas.bench.library.gate import GateOptions, gate

    found = gate(GateOptions(**given), progress=not quiet)
    if not quiet:
        for line in found.lines():
            click.echo(line)
        click.echo(f"everything   {found.folder}: gate.json, gate.csv, trainings.csv")
