"""Define the errors of the model, as one tree.

FNetError
├── ConfigError       config.json is not a valid FNet configuration.
├── CheckpointError   weights are missing, left over, misshapen, damaged or unsafe.
└── TaskError         the task is unknown, or the checkpoint has no head for it.
"""


class FNetError(Exception):
    """Report that a model cannot be used as it is. The message says what to do."""


class ConfigError(FNetError):
    """Report that config.json is not a valid FNet configuration."""


class CheckpointError(FNetError):
    """Report that weights are missing, left over, misshapen, damaged or unsafe to read."""


class TaskError(FNetError):
    """Report that a task is unknown, or that the checkpoint has no head for it."""
