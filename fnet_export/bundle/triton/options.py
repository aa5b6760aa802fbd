"""The options of `fnet-export triton`, in parts: which repository to write, and how its models are served."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from fnet_runtime.sessions.runtimes import AUTO, MAX_THREADS, RUNTIME_CHOICES
from fnet_runtime.sessions.session import ANY_BATCH
from fnet_runtime.triton.questions import MAX_TEXT_BYTES

from fnet_export.base.errors import OptionError

WHOLE, ENSEMBLE = "whole", "ensemble"
FORMS = (WHOLE, ENSEMBLE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a model of a repository may be called here: a plain name of a folder, which is also part of an address."""


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """How the server runs a model. Raises OptionError for a value out of range."""

    runtime: str = AUTO
    instances: int = 1
    threads: int | None = None
    max_batch_size: int = ANY_BATCH.max
    queue_delay_us: int = 1000
    max_queue_size: int = 256
    max_text_bytes: int = MAX_TEXT_BYTES
    packages: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIME_CHOICES:
            raise OptionError(f"unknown runtime {self.runtime!r}; expected one of {', '.join(RUNTIME_CHOICES)}")
        for name in ("instances", "max_batch_size", "max_queue_size", "max_text_bytes"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: expected a number from 1, found {getattr(self, name)}")
        if self.queue_delay_us < 0:
            raise OptionError(f"queue_delay_us: expected a number from 0, found {self.queue_delay_us}")
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise OptionError(f"threads: expected 1 to {MAX_THREADS}, found {self.threads}")
        relative = [str(folder) for folder in self.packages if not folder.is_absolute()]
        if relative:
            raise OptionError(f"packages: expected absolute paths, as the server sees them; found {', '.join(relative)}")


@dataclass(frozen=True, kw_only=True)
class RepositoryOptions:
    """Which bundles become models of a repository, and their names. Raises OptionError for options that do not go together."""

    bundles: tuple[Path, ...]
    repository: Path
    form: str = WHOLE
    name: str | None = None
    version: int = 1
    force: bool = False
    serving: ServingOptions = field(default_factory=ServingOptions)

    def __post_init__(self) -> None:
        if not self.bundles:
            raise OptionError("expected at least one bundle, found none; name the folders that fnet-export wrote")
        if self.form not in FORMS:
            raise OptionError(f"unknown form {self.form!r}; expected one of {', '.join(FORMS)}")
        if self.version < 1:
            raise OptionError(f"version: expected a number from 1, found {self.version}")
        if self.name is not None and len(self.bundles) > 1:
            raise OptionError(f"name: expected one bundle, found {len(self.bundles)}; write one bundle at a time")
        for name in self.names:
            if not NAME.fullmatch(name):
                raise OptionError(f"{name!r}: is not a model's name (letters, digits, '_', '-', '.'); choose another with --name")
        if len(set(self.names)) < len(self.names):
            raise OptionError(f"two bundles have one name ({', '.join(sorted(self.names))}); write one at a time with --name")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name of the model of each bundle: --name, or the name of the bundle's folder."""
        return tuple(self.name if self.name is not None else bundle.resolve().name for bundle in self.bundles)
