"""The exporter's errors, one tree.

FNetExportError
└── GraphError       a model cannot be traced, or a graph fails its check
"""


class FNetExportError(Exception):
    """Anything that the export refuses or fails to do; the message says what to do about it."""


class GraphError(FNetExportError):
    """A model cannot be traced, or a graph fails its check."""
