"""The runtime's errors, one tree.

FNetRuntimeError
├── BundleError      the folder is not a whole, unaltered bundle of a known version
├── InputError       what the caller passed cannot be an input of this bundle
└── SessionError     the engine cannot be opened or run on this host, or a library is missing
    └── NoDeviceError  this host has no device that the engine can run on
"""


class FNetRuntimeError(Exception):
    """Anything that this runtime refuses or fails to do; the message says what to do about it."""


class BundleError(FNetRuntimeError):
    """The folder is not a whole, unaltered bundle of a known version."""


class InputError(FNetRuntimeError):
    """What the caller passed cannot be an input of this bundle."""


class SessionError(FNetRuntimeError):
    """The engine cannot be opened or run on this host, or a library that the bundle needs is missing."""


class NoDeviceError(SessionError):
    """This host has no device that the engine can run on."""
