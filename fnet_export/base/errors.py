"""The exporter's errors, one tree.

FNetExportError
├── GraphError       a model cannot be traced, or a graph fails its check
├── ProfileError     the ranges of the dynamic axes do not fit the graph
├── TextError        texts cannot be read
├── PrecisionError   what was built does not run at the precision asked for
├── CompareError     two arrays cannot be compared
├── OptionError      options that do not go together, or a value that is none
├── OutputError      the bundle cannot be written where it was asked for
├── ParityError      a runtime disagrees with the reference
│   ├── AgreementError  a bundle within its limits decides otherwise more often than was asked for
│   └── AccuracyError   a bundle that agrees is less accurate on labelled data than was asked for
├── BenchError       a bundle cannot be measured
├── EvaluationError  labelled data and bundles do not fit each other
├── SourceError      the checkpoint of a bundle cannot be found, or is another
└── EngineError      the library that makes an engine is missing, or refuses the graph
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fnet_export.parity.result import ParityReport


class FNetExportError(Exception):
    """Anything that the export refuses or fails to do; the message says what to do about it."""


ALLOCATOR = "DefaultCPUAllocator: "
"""What torch calls its allocator in the RuntimeError that it raises where Python raises a MemoryError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or one that led to it, says that there is too little memory."""
    causes: list[BaseException] = []
    while error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__ or error
    return any(isinstance(cause, MemoryError) or (isinstance(cause, RuntimeError) and ALLOCATOR in str(cause)) for cause in causes)


class GraphError(FNetExportError):
    """A model cannot be traced, or a graph fails its check."""


class ProfileError(FNetExportError):
    """The ranges of the dynamic axes do not fit the graph."""


class EngineError(FNetExportError):
    """The library that makes an engine is missing, or refuses the graph."""


class TextError(FNetExportError):
    """Texts cannot be read."""


class PrecisionError(FNetExportError):
    """What was built does not run at the precision that was asked for."""


class CompareError(FNetExportError):
    """Two arrays cannot be compared."""


class OptionError(FNetExportError):
    """Options that do not go together, or a value that is none."""


class OutputError(FNetExportError):
    """The bundle cannot be written where it was asked for."""


class EvaluationError(FNetExportError):
    """Labelled data and bundles do not fit each other."""


class BenchError(FNetExportError):
    """A bundle cannot be measured."""


class SourceError(FNetExportError):
    """The checkpoint that a bundle was made from cannot be found, or is another."""


class ParityError(FNetExportError):
    """A runtime disagrees with the reference; `report` says which and by how much, `values` are those of parity.json."""

    def __init__(self, message: str, report: "ParityReport", values: Mapping[str, Any]) -> None:
        """Take the message and the report that it is about."""
        super().__init__(message)
        self.report, self.values = report, values


class AgreementError(ParityError):
    """A bundle is within the limits of its reference, but decides otherwise more often than was asked for."""


class AccuracyError(ParityError):
    """A bundle agrees with its reference, but is less accurate on labelled data than was asked for."""
