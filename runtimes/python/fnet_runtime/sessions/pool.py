"""A pool lends a few items to any number of threads. Each item serves one caller at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Generic, TypeVar

from fnet_runtime.errors import SessionError

T = TypeVar("T")


class Pool(Generic[T]):
    """Lend each item to one caller at a time. Any number of threads may ask; they wait while every item is lent."""

    def __init__(self, make: Callable[[], T], *, size: int) -> None:
        """Make the first item. The others, `size` in all, are made when they are first needed. Raises the errors of `make`."""
        self._make, self._most = make, size
        self._idle, self._made = [make()], 1
        self._closed = False
        self._changed = Condition()

    @contextmanager
    def borrowed(self) -> Iterator[T]:
        """Lend an item until the end of the `with` block. Raises SessionError when the pool is closed.

        After `make` has raised a SessionError, the items that exist serve all callers.
        """
        item = self._taken()
        try:
            yield item
        finally:
            with self._changed:
                self._idle.append(item)
                self._changed.notify()

    def close(self) -> list[T]:
        """Stop lending. Return every item when the last one is given back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._idle) == self._made)
            items, self._idle, self._made = self._idle, [], 0
        return items

    def _taken(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._idle or self._made < self._most)
            if self._closed:
                raise SessionError("the session is closed; open the bundle again")
            if self._idle:
                return self._idle.pop()
            self._made += 1
        try:
            return self._make()  # this can take seconds, and meanwhile the other items are lent
        except BaseException as error:
            with self._changed:
                self._made -= 1
                if isinstance(error, SessionError):
                    self._most = self._made
                self._changed.notify_all()
            if not isinstance(error, SessionError):
                raise
        return self._taken()
