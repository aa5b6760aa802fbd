"""The session of a bundle in this process: it closes, and a child process opens it again after a fork."""

import ctypes
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import Protocol, runtime_checkable
from weakref import WeakSet

from fnet_runtime.bundle.manifest import AxisProfile, Manifest
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.providers import CPU
from fnet_runtime.sessions.runtimes import DEFAULT_OPTIONS, RUNTIMES, OpenOptions, runtime_from_name, session_from_bundle
from fnet_runtime.sessions.session import Ids, Outputs, Session, notes_from_session

CLOSED = "the pipeline is closed; open the bundle again"
FORKED = (
    "this process was forked while another thread was asking this pipeline, so its engine cannot be used here. "
    "Fork while no thread asks, or start processes with spawn"
)
NO_FORK = (
    "{runtime} cannot be used in a child process that was forked after the bundle was opened. "
    "Open the bundle in the child and not before, or start processes with spawn"
)


@runtime_checkable
class Closing(Protocol):
    """A session that frees what it holds."""

    def close(self) -> None:
        """Free the engine when the last run has ended."""
        ...


class BundleSession:
    """The opened engine of a bundle whose files were checked. Any number of threads may run it at once.

    The engine's threads do not exist in a child process after a fork. So the child opens the engine again at its first run.
    """

    def __init__(self, folder: Path, manifest: Manifest, options: OpenOptions = DEFAULT_OPTIONS) -> None:
        """Open the engine. Raises what `session_from_bundle` raises."""
        self.folder, self.options = folder, options
        self._manifest = manifest
        self._session: Session | None = self._opened()
        self.batch: AxisProfile = self._session.batch
        self._refusal, self._running, self._changed = "", 0, Condition()
        _OPENED.add(self)

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the engine; see `Session.run`. Raises SessionError also when the session is closed or was lost in a fork."""
        with self._in_use() as session:
            return session.run(inputs)

    def close(self) -> None:
        """Free the engine when the last run has ended. A closed session cannot run; closing it again does nothing."""
        with self._changed:
            self._refusal = self._refusal or CLOSED
            self._changed.wait_for(lambda: not self._running)
            session, self._session = self._session, None
        if isinstance(session, Closing):
            session.close()

    @contextmanager
    def _in_use(self) -> Iterator[Session]:
        with self._changed:
            if self._refusal:
                raise SessionError(self._refusal)
            if self._session is None:
                self._session = self._opened()
            session = self._session
            self._running += 1
        try:
            yield session
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a user should know of the opened engine: the nodes that a provider left to the CPU."""
        return () if self._session is None else notes_from_session(self._session)

    def _opened(self) -> Session:
        return session_from_bundle(self.folder, self._manifest, self.options)

    def forked(self) -> None:
        """Give up the engine of the parent process. It is never freed here, because that would wait for threads of the parent."""
        if self._session is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
        provider = self.options.provider
        name = runtime_from_name(self.options.runtime, self._manifest, self.folder, provider=provider)
        if not self._refusal and provider != CPU:
            self._refusal = NO_FORK.format(runtime=f"the provider {provider}")
        elif not self._refusal and not RUNTIMES[name].survives_fork:
            self._refusal = NO_FORK.format(runtime=name)
        elif not self._refusal and self._running:
            self._refusal = FORKED
        self._session, self._running, self._changed = None, 0, Condition()


_OPENED: WeakSet[BundleSession] = WeakSet()


def _forked() -> None:
    for session in list(_OPENED):
        session.forked()


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)  # missing on Windows, which has no fork
if _register:
    _register(after_in_child=_forked)
