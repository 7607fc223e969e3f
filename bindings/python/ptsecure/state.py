"""State files: what a client remembers of the stores it used.

A state file remembers, for every store it is used with, the store's id, the last record seen of
every chain (alias, content key, log) and the newest version seen of every model. A store that is
opened with one can't show an older history than it has shown before, nor another store in its
place: RollbackError says what is missing. Any number of threads, processes and stores may share a
file.
"""

import json
import os
from pathlib import Path
from typing import Any

from ptsecure import _ptsecure
from ptsecure._arguments import text_or_none

__all__ = ["default_state_path", "reset_state", "show_state", "state_file"]


def default_state_path() -> Path:
    """Where the `ptsecure` command keeps its state, and `open_store(..., state=True)`:
    $XDG_STATE_HOME/ptsecure/state.json, or ~/.local/state/ptsecure/state.json.

    Raises:
        NotFoundError: neither XDG_STATE_HOME nor HOME says where.
    """
    return Path(_ptsecure.default_state_path())


def state_file(state: str | os.PathLike[str] | bool | None) -> str:
    """The path that a `state` argument means; "" for none."""
    if state is None or state is False:
        return ""
    if state is True:
        return _ptsecure.default_state_path()
    return text_or_none("state", os.fspath(state))


def _file_or_default(path: str | os.PathLike[str] | None) -> str:
    return state_file(True if path is None else path)


def show_state(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """What a state file remembers.

    Args:
        path: None = the default one.

    Returns:
        {"ptsecure": 1, "places": {place: store id}, "stores": {store id: {"chains": {chain:
        {"sequence", "record"}}, "versions": {name: {"version", "manifest"}}}}}. A file that isn't
        there remembers nothing.

    Raises:
        CorruptError: it is no state file.
    """
    state: dict[str, Any] = json.loads(_ptsecure.show_state(_file_or_default(path)))
    return state


def reset_state(
    store: str | os.PathLike[str] | None, *, path: str | os.PathLike[str] | None = None
) -> None:
    """Forgets a store: what it shows next is believed and remembered.

    Args:
        store: its URI or its id; None = everything, also when the file is damaged.
        path: of the state file; None = the default one.

    Raises:
        NotFoundError: the file doesn't know the store.
    """
    what = text_or_none("store", None if store is None else os.fspath(store))
    _ptsecure.reset_state(_file_or_default(path), what)
