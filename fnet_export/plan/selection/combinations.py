"""The candidates of a selection, and the plan of each, or the reason why this host cannot export or run it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fnet_runtime.bundle.manifest import OPENVINO, TARGETS
from fnet_runtime.engine.cuda import gpu_of_host
from fnet_runtime.errors import FNetRuntimeError, SessionError
from fnet_runtime.tokenizer.encoding import PADDINGS

from fnet_core.errors import FNetError
from fnet_export.base.errors import EngineError, FNetExportError, OutputError
from fnet_export.engine.library import Library
from fnet_export.engine.openvino import openvino_library
from fnet_export.engine.tensorrt import library_for_target
from fnet_export.plan.options import TARGET_PRECISIONS
from fnet_export.plan.plan import Plan, plan_from_options
from fnet_export.plan.selection.options import CandidateOptions, Combination, SelectionOptions


@dataclass(frozen=True, kw_only=True)
class PlannedCombination:
    """Hold a candidate and the plan of its export, or the reason why it has no plan."""

    combination: Combination
    plan: Plan | None = None
    reason: str | None = None


def combinations_from_options(options: CandidateOptions, first: Plan) -> tuple[Combination, ...]:
    """List the candidates, by target, padding and precision. `first` is a plan that leaves the padding to the checkpoint."""
    targets = options.targets or tuple(target for target in TARGETS if _runs_by_default(target))
    paddings = options.paddings or (PADDINGS if first.padding_is_measured else (first.trained.padding.contract,))
    return tuple(
        Combination(target=target, precision=precision, padding=padding)
        for target in dict.fromkeys(targets)
        for padding in dict.fromkeys(paddings)
        for precision in dict.fromkeys(options.precisions or TARGET_PRECISIONS[target])
    )


def planned_combinations(combinations: Sequence[Combination], options: SelectionOptions) -> tuple[PlannedCombination, ...]:
    """Plan the export of each candidate. What a candidate's plan refuses is the reason of that candidate."""
    return tuple(_planned(combination, options) for combination in combinations)


def _planned(combination: Combination, options: SelectionOptions) -> PlannedCombination:
    try:
        library_of_target(combination.target)
        return PlannedCombination(combination=combination, plan=plan_from_options(options.export(combination)))
    except OutputError:  # nothing can be written, whatever the candidate
        raise
    except (FNetError, FNetExportError, FNetRuntimeError) as error:
        return PlannedCombination(combination=combination, reason=str(error))


def _runs_by_default(target: str) -> bool:
    """Return whether this host runs what a target opens, and no other target has the same library."""
    try:
        library = library_of_target(target)
    except (EngineError, SessionError):
        return False
    return library is None or library.substituted is None


def library_of_target(target: str) -> Library | None:
    """Import the library of a target, None for ONNX Runtime, which is always here.

    Raises EngineError if the library is missing, and SessionError if it needs a GPU that this host does not have.
    """
    if target == "onnx":
        return None
    if target == OPENVINO:
        return openvino_library()
    library = library_for_target(target)
    gpu_of_host(library.name)
    return library
