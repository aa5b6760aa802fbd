"""The errors of the runtime, one tree with one class per kind of event.

FNetRuntimeError
├── BundleError        the folder is not a whole, unaltered bundle of a known version
├── InputError         the bundle cannot answer this request
│   └── OptionError    an option has a value that is not allowed
├── SessionError       the engine cannot be opened or run on this host
│   ├── LibraryError   a library that the bundle needs cannot be imported
│   └── NoDeviceError  this host has no device that the engine can run on
└── OutputError        standard output cannot be written
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


class LibraryError(SessionError):
    """Report a library that the bundle needs and that cannot be imported."""


class NoDeviceError(SessionError):
    """Report that this host has no device that the engine can run on."""


class OutputError(FNetRuntimeError):
    """Report that standard output cannot be written."""
