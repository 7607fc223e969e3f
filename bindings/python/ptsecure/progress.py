"""Progress of long calls: a bar, or a function of the caller's."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

__all__ = ["Progress", "ProgressFunction"]

ProgressFunction = Callable[[int, int], object]
"""Called with bytes done and bytes in all; what it raises ends the call and comes out of it."""

Progress = bool | ProgressFunction
"""True shows a bar on a terminal or in a notebook (tqdm's when it is installed)."""


class _Bar(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> object: ...
    def show(self, done: int, total: int) -> None: ...


class _TextBar:
    """One line on standard error."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        print(file=sys.stderr)

    def show(self, done: int, total: int) -> None:
        percent = 100 * done // total if total else 100
        text = f"\r{self.what}: {percent:3d} % of {total / 1e6:.1f} MB"
        print(text, end="", file=sys.stderr, flush=True)


class _TqdmBar:
    def __init__(self, what: str, tqdm: Any) -> None:
        self.bar = tqdm(desc=what, unit="B", unit_scale=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.n = done
        self.bar.refresh()


def in_notebook() -> bool:
    """Whether this runs in Jupyter's kernel, where standard error is no terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _make_bar(what: str) -> _Bar:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _TextBar(what)
    return _TqdmBar(what, tqdm)


def _wants_bar(progress: Progress) -> bool:
    return progress is True and (in_notebook() or sys.stderr.isatty())


@contextmanager
def elapsing(progress: Progress, what: str) -> Iterator[None]:
    """The seconds taken so far, for work that doesn't tell how much there is; a function of the
    caller's isn't called."""
    if not _wants_bar(progress):
        yield
        return
    began, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while True:
            seconds = int(time.monotonic() - began)
            print(f"\r{what}: {seconds} s", end="", file=sys.stderr, flush=True)
            if done.wait(1):
                return

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        print(file=sys.stderr)


@contextmanager
def reporting(progress: Progress, what: str) -> Iterator[ProgressFunction | None]:
    """The function to hand to the raw layer, for the time of one call."""
    if callable(progress):
        yield progress
    elif _wants_bar(progress):
        with _make_bar(what) as bar:
            yield bar.show
    else:
        yield None
