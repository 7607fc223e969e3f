"""What stores, packages and models have in common: they are closed, and never pickled."""

from types import TracebackType
from typing import NoReturn, Protocol, Self


class _Closable(Protocol):
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...


class Handle:
    """A context manager over a raw object."""

    __slots__ = ("__weakref__", "_raw")

    _raw: _Closable

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._raw.closed

    def close(self) -> None:
        """Lets go of it. Calls that other threads are inside of end as usual, later ones raise
        ClosedError. Closing twice is harmless."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"a {name} can't be pickled: open it in the process that uses it")
