"""The exporter's errors, one tree; each class of an event has the exit code that a command ends with.

FNetExportError
├── GraphError       a model cannot be traced, or a graph fails its check
├── ProfileError     the ranges of the dynamic axes do not fit the graph
├── TextError        a file of texts cannot be read
├── PrecisionError   the bundle does not run at the precision that was asked for
├── CompareError     two arrays cannot be compared
├── OptionError      an invalid option, or options that do not go together
├── OutputError      a file or a folder cannot be written
├── ParityError      a runtime disagrees with the reference (parity/report/evidence.py)
│   ├── AgreementError  fewer decisions agree than was asked for
│   └── AccuracyError   the bundle is less accurate on labelled data than was asked for
├── BenchError       a bundle cannot be measured
├── EvaluationError  labelled data cannot be read, or do not fit the bundle
├── SourceError      the checkpoint of a bundle cannot be found, or is another one
└── EngineError      the library that builds an engine is missing, or refuses the graph
"""

from fnet_runtime.command.exit_codes import BAD_INPUT, ENGINE_FAILED, USAGE


class FNetExportError(Exception):
    """The export refuses or fails to do something; the message says what to do."""

    exit_code = BAD_INPUT


ALLOCATOR = "DefaultCPUAllocator: "
"""What torch calls its allocator in the RuntimeError that it raises where Python raises a MemoryError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, says that there is too little memory."""
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
    """The library that builds an engine is missing, or refuses the graph."""

    exit_code = ENGINE_FAILED


class TextError(FNetExportError):
    """A file of texts cannot be read."""


class PrecisionError(FNetExportError):
    """The bundle does not run at the precision that was asked for."""

    exit_code = ENGINE_FAILED


class CompareError(FNetExportError):
    """Two arrays cannot be compared."""


class OptionError(FNetExportError):
    """An option is invalid, or options do not go together."""

    exit_code = USAGE


class OutputError(FNetExportError):
    """A file or a folder cannot be written."""


class EvaluationError(FNetExportError):
    """Labelled data cannot be read, or do not fit the bundle."""


class BenchError(FNetExportError):
    """A bundle cannot be measured."""


class SourceError(FNetExportError):
    """The checkpoint that a bundle was made from cannot be found, or is another one."""
