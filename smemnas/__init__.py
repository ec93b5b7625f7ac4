"""Fair, fast, reproducible comparison of neural architecture search methods.

What is public is what this module names; docs/library.md shows it. Nothing is imported before it is asked for.
"""

import os

#: The one source of the version: packaging, `--version` and what runs record of their code read it here.
__version__ = "0.2.0"

_here = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_here, "bench")):
    # In a checkout the packages lie beside this folder, in an installation within it.
    __path__.append(os.path.dirname(_here))

#: Module to the public names that it is the home of; `bench/library` has what equals a command. Type checkers and
#: editors read the imports below, which never run; a test holds the two together.
_HOMES = {
    "smemnas.bench.errors": "UserError DataError RunError suggest",
    "smemnas.bench.registry": "Registry load_plugin",
    "smemnas.spaces.base": "SPACES SearchSpace Problem Objective Constraint FloatArray IntArray",
    "smemnas.spaces.forms": "reader writer",
    "smemnas.surrogates.base": "SURROGATES Surrogate check_training_data average_ranks",
    "smemnas.methods.base": "METHODS Method Archive initial_design require_positive",
    "smemnas.bench.benchmarks.base": "Benchmark",
    "smemnas.bench.benchmarks.catalog": "BENCHMARKS open_benchmark",
    "smemnas.bench.benchmarks.function": "CallableBenchmark",
    "smemnas.bench.benchmarks.tabular": "TabularBenchmark",
    "smemnas.bench.benchmarks.outcomes": "Evaluation Reference",
    "smemnas.bench.metrics.indicators": "hypervolume_regret igd_plus nondominated",
    "smemnas.bench.benchmarks.pymoo_problem": "as_pymoo",
    "smemnas.bench.runs.job": "Job make_job",
    "smemnas.bench.runs.result": "Front Result",
    "smemnas.bench.benchmarks.case": "Case",
    "smemnas.bench.studies.plan": "Plan Variant",
    "smemnas.bench.studies.frames": "evaluations_frame trials_frame",
    "smemnas.bench.ranking.trial": "SurrogateVariant",
    "smemnas.bench.archive.locate": "open_archive",
    "smemnas.bench.library.archive": "make_archive verify_archive VerifyOptions extract_archive",
    "smemnas.bench.library.run": "RunOptions run run_job",
    "smemnas.bench.library.study": "Study StudyOptions study",
    "smemnas.bench.library.rank": "Ranking RankOptions rank",
    "smemnas.bench.library.gate": "GateFound GateOptions gate",
    "smemnas.bench.library.report": "Report ReportOptions report",
    "smemnas.bench.library.leaderboard": "Leaderboard LeaderboardOptions leaderboard",
    "smemnas.bench.fit.fit": "FitOptions Fitted fit plan_fit",
    "smemnas.bench.library.export": "ExportedNetwork ExportOptions export",
    "smemnas.bench.library.images": "ImageFolder images",
    "smemnas.bench.library.retrain": "Retraining RetrainOptions retrain",
    "smemnas.bench.train.retrain.spaces": "build_network",
    "smemnas.bench.library.supernet": (
        "InheritedAccuracy SupernetEvalOptions SupernetReading SupernetTrainOptions SupernetTraining "
        "supernet_eval supernet_train"
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME_OF)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smemnas.bench.archive.locate import open_archive as open_archive
    from smemnas.bench.benchmarks.base import Benchmark as Benchmark
    from smemnas.bench.benchmarks.case import Case as Case
    from smemnas.bench.benchmarks.catalog import BENCHMARKS as BENCHMARKS
    from smemnas.bench.benchmarks.catalog import open_benchmark as open_benchmark
    from smemnas.bench.benchmarks.function import CallableBenchmark as CallableBenchmark
    from smemnas.bench.benchmarks.outcomes import Evaluation as Evaluation
    from smemnas.bench.benchmarks.outcomes import Reference as Reference
    from smemnas.bench.benchmarks.pymoo_problem import as_pymoo as as_pymoo
    from smemnas.bench.benchmarks.tabular import TabularBenchmark as TabularBenchmark
    from smemnas.bench.errors import DataError as DataError
    from smemnas.bench.errors import RunError as RunError
    from smemnas.bench.errors import UserError as UserError
    from smemnas.bench.errors import suggest as suggest
    from smemnas.bench.fit.fit import FitOptions as FitOptions
    from smemnas.bench.fit.fit import Fitted as Fitted
    from smemnas.bench.fit.fit import fit as fit
    from smemnas.bench.fit.fit import plan_fit as plan_fit
    from smemnas.bench.library.archive import VerifyOptions as VerifyOptions
    from smemnas.bench.library.archive import extract_archive as extract_archive
    from smemnas.bench.library.archive import make_archive as make_archive
    from smemnas.bench.library.archive import verify_archive as verify_archive
    from smemnas.bench.library.export import ExportedNetwork as ExportedNetwork
    from smemnas.bench.library.export import ExportOptions as ExportOptions
    from smemnas.bench.library.export import export as export
    from smemnas.bench.library.gate import GateFound as GateFound
    from smemnas.bench.library.gate import GateOptions as GateOptions
    from smemnas.bench.library.gate import gate as gate
    from smemnas.bench.library.images import ImageFolder as ImageFolder
    from smemnas.bench.library.images import images as images
    from smemnas.bench.library.leaderboard import Leaderboard as Leaderboard
    from smemnas.bench.library.leaderboard import LeaderboardOptions as LeaderboardOptions
    from smemnas.bench.library.leaderboard import leaderboard as leaderboard
    from smemnas.bench.library.rank import Ranking as Ranking
    from smemnas.bench.library.rank import RankOptions as RankOptions
    from smemnas.bench.library.rank import rank as rank
    from smemnas.bench.library.report import Report as Report
    from smemnas.bench.library.report import ReportOptions as ReportOptions
    from smemnas.bench.library.report import report as report
    from smemnas.bench.library.retrain import Retraining as Retraining
    from smemnas.bench.library.retrain import RetrainOptions as RetrainOptions
    from smemnas.bench.library.retrain import retrain as retrain
    from smemnas.bench.library.run import RunOptions as RunOptions
    from smemnas.bench.library.run import run as run
    from smemnas.bench.library.run import run_job as run_job
    from smemnas.bench.library.study import Study as Study
    from smemnas.bench.library.study import StudyOptions as StudyOptions
    from smemnas.bench.library.study import study as study
    from smemnas.bench.library.supernet import InheritedAccuracy as InheritedAccuracy
    from smemnas.bench.library.supernet import SupernetEvalOptions as SupernetEvalOptions
    from smemnas.bench.library.supernet import SupernetReading as SupernetReading
    from smemnas.bench.library.supernet import SupernetTraining as SupernetTraining
    from smemnas.bench.library.supernet import SupernetTrainOptions as SupernetTrainOptions
    from smemnas.bench.library.supernet import supernet_eval as supernet_eval
    from smemnas.bench.library.supernet import supernet_train as supernet_train
    from smemnas.bench.metrics.indicators import hypervolume_regret as hypervolume_regret
    from smemnas.bench.metrics.indicators import igd_plus as igd_plus
    from smemnas.bench.metrics.indicators import nondominated as nondominated
    from smemnas.bench.ranking.trial import SurrogateVariant as SurrogateVariant
    from smemnas.bench.registry import Registry as Registry
    from smemnas.bench.registry import load_plugin as load_plugin
    from smemnas.bench.runs.job import Job as Job
    from smemnas.bench.runs.job import make_job as make_job
    from smemnas.bench.runs.result import Front as Front
    from smemnas.bench.runs.result import Result as Result
    from smemnas.bench.studies.frames import evaluations_frame as evaluations_frame
    from smemnas.bench.studies.frames import trials_frame as trials_frame
    from smemnas.bench.studies.plan import Plan as Plan
    from smemnas.bench.studies.plan import Variant as Variant
    from smemnas.bench.train.retrain.spaces import build_network as build_network
    from smemnas.methods.base import METHODS as METHODS
    from smemnas.methods.base import Archive as Archive
    from smemnas.methods.base import Method as Method
    from smemnas.methods.base import initial_design as initial_design
    from smemnas.methods.base import require_positive as require_positive
    from smemnas.spaces.base import SPACES as SPACES
    from smemnas.spaces.base import Constraint as Constraint
    from smemnas.spaces.base import FloatArray as FloatArray
    from smemnas.spaces.base import IntArray as IntArray
    from smemnas.spaces.base import Objective as Objective
    from smemnas.spaces.base import Problem as Problem
    from smemnas.spaces.base import SearchSpace as SearchSpace
    from smemnas.spaces.forms import reader as reader
    from smemnas.spaces.forms import writer as writer
    from smemnas.surrogates.base import SURROGATES as SURROGATES
    from smemnas.surrogates.base import Surrogate as Surrogate
    from smemnas.surrogates.base import average_ranks as average_ranks
    from smemnas.surrogates.base import check_training_data as check_training_data
else:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for (PEP 562); type checkers would take any name for one."""
        if name not in _HOME_OF:
            raise AttributeError(f"module 'smemnas' has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
