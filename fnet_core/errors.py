"""The model's errors, one tree.

FNetError
├── ConfigError       config.json is not a valid FNet configuration
├── CheckpointError   weights are missing, left over, misshapen, damaged or unsafe
└── TaskError         no such task, or the checkpoint has no head for it
"""


class FNetError(Exception):
    """Anything wrong with a model as it was given; the message says what to do about it."""


class ConfigError(FNetError):
    """config.json is not a valid FNet configuration."""


class CheckpointError(FNetError):
    """Weights are missing, left over, misshapen, damaged or unsafe to read."""


class TaskError(FNetError):
    """There is no such task, or the checkpoint has no head for it."""
