"""The errors of the runtime, one tree with one class per kind of event.

FNetRuntimeError
├── BundleError
├── InputError
│   └── OptionError
├── SessionError
│   ├── BuildError
│   ├── LibraryError
│   └── NoDeviceError
├── ClusterError
└── OutputError
"""


class FNetRuntimeError(Exception):
    """Report that the runtime refuses or fails to do something; the message says what to do."""


class BundleError(FNetRuntimeError):
    """Report a folder that is not a whole, unaltered bundle of a known version."""


class InputError(FNetRuntimeError):
    """Report a request that the bundle cannot answer."""


class OptionError(InputError):
    """Report an option whose value is not allowed."""


class SessionError(FNetRuntimeError):
    """Report an engine that cannot be opened or run on this host."""


class BuildError(SessionError):
    """Report an engine that cannot be built on this host."""


class LibraryError(SessionError):
    """Report a library that the bundle needs and that cannot be imported."""


class NoDeviceError(SessionError):
    """Report that this host has no device that the engine can run on."""


class ClusterError(FNetRuntimeError):
    """Report a Ray cluster that lacks the CPUs or GPUs that a job needs."""


class OutputError(FNetRuntimeError):
    """Report that standard output cannot be written."""
