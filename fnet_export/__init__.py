"""From a trained FNet to a verified bundle.

import fnet_export
fnet_export.export(model="my-model", target="onnx", output="bundle")

Each public name is imported when a program asks for it. So `import fnet_export` is quick and imports no PyTorch.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

# As in fnet_runtime: the exporter imports the libraries of engines by itself too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from fnet_runtime.engine.rebuild import Rebuilt

    from fnet_core.errors import FNetError
    from fnet_export.base.errors import FNetExportError, OptionError
    from fnet_export.base.progress import ProgressEvent
    from fnet_export.benchmark.bench import bench
    from fnet_export.benchmark.benchmark import Benchmark
    from fnet_export.bundle.convert import convert
    from fnet_export.bundle.rebuild import rebuild
    from fnet_export.bundle.verify import Verification, verify
    from fnet_export.evaluation.evaluate import Scores, evaluate
    from fnet_export.parity.report.evidence import ParityError
    from fnet_export.plan.export import export
    from fnet_export.plan.pipeline import Export
    from fnet_export.plan.selection.choose import choose
    from fnet_export.plan.selection.selection import Selection

__all__ = [
    "Benchmark",
    "Export",
    "FNetError",
    "FNetExportError",
    "OptionError",
    "ParityError",
    "ProgressEvent",
    "Rebuilt",
    "Scores",
    "Selection",
    "Verification",
    "bench",
    "choose",
    "convert",
    "evaluate",
    "export",
    "rebuild",
    "verify",
]

_MODULES = {
    "Benchmark": "fnet_export.benchmark.benchmark",
    "Export": "fnet_export.plan.pipeline",
    "FNetError": "fnet_core.errors",
    "FNetExportError": "fnet_export.base.errors",
    "OptionError": "fnet_export.base.errors",
    "ParityError": "fnet_export.parity.report.evidence",
    "ProgressEvent": "fnet_export.base.progress",
    "Rebuilt": "fnet_runtime.engine.rebuild",
    "Scores": "fnet_export.evaluation.evaluate",
    "Selection": "fnet_export.plan.selection.selection",
    "Verification": "fnet_export.bundle.verify",
    "bench": "fnet_export.benchmark.bench",
    "choose": "fnet_export.plan.selection.choose",
    "convert": "fnet_export.bundle.convert",
    "evaluate": "fnet_export.evaluation.evaluate",
    "export": "fnet_export.plan.export",
    "rebuild": "fnet_export.bundle.rebuild",
    "verify": "fnet_export.bundle.verify",
}
"""The module of each public name. No room has the name of a function, because Python would replace the function by the room."""


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """List the public names too."""
    return sorted({*globals(), *__all__})
