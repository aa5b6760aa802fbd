"""Export as the command line does. No other file of the tests makes the options of an export."""

from fnet_export.base.progress import Quiet
from fnet_export.export.pipeline import bundle_from_plan
from fnet_export.export.plan import ExportOptions, plan_from_options

CPP_ROW = "C++ runtime, final graph"


def options_from(**flat):
    """Return the options of an export, given flat as on the command line."""
    return ExportOptions(**flat)


def export(checkpoint, output, *, task="sequence-classification", target="onnx", **options):
    """Export a checkpoint; without one, the built-in model."""
    chosen = options_from(task=task, target=target, model=str(checkpoint) if checkpoint else None, output=output, **options)
    return bundle_from_plan(plan_from_options(chosen), Quiet())
