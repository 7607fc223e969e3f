"""What a store lists, as plain data that shows itself as a table."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from html import escape
from typing import Any, Generic, TypeVar, overload

from ptsecure.live import Captured

__all__ = ["Alias", "Check", "Listing", "ModelEntry", "PublishedVersion", "VersionEntry"]


class PublishedVersion(int):
    """The number of a version that was just published: an int that knows its name.

    Attributes:
        name: the model's name.
        captured: "scripted" or "traced" when it was published from a live nn.Module, else None.
    """

    name: str
    captured: Captured | None

    def __new__(
        cls, version: int, name: str, captured: Captured | None = None
    ) -> "PublishedVersion":
        self = super().__new__(cls, version)
        self.name = name
        self.captured = captured
        return self

    @property
    def reference(self) -> str:
        """What opens exactly this version: "digits/7"."""
        return f"{self.name}/{int(self)}"

    def __str__(self) -> str:
        return str(int(self))

    def __repr__(self) -> str:
        how = f", {self.captured}" if self.captured else ""
        return f"<ptsecure.PublishedVersion {self.reference}{how}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (int(self), self.name, self.captured))


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model in a store's index, which isn't verified; `show`, `verify` and `load` verify."""

    name: str
    version: int
    """The newest one."""
    format: str
    created: datetime
    size: int
    """Bytes in plaintext."""
    aliases: tuple[str, ...]
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version in a store's index, which isn't verified."""

    name: str
    version: int
    format: str
    created: datetime
    size: int
    """Bytes in plaintext."""
    labels: dict[str, str]

    @property
    def reference(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias by its newest signed record, verified."""

    alias: str
    version: int
    sequence: int
    """The number of the record in the alias's chain, from 1."""
    time: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of `Store.verify`."""

    check: str
    """What was looked at: "manifest", "payload model", "alias production"."""
    status: str
    """"ok", or what is wrong: "corrupt"."""
    detail: str

    @property
    def ok(self) -> bool:
        return self.status == "ok"


Entry = TypeVar("Entry", bound=Any)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, dict):
        return ", ".join(f"{key}={each}" for key, each in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


class Listing(Sequence[Entry], Generic[Entry]):
    """A sequence of entries that prints as a table, in a notebook as HTML."""

    def __init__(self, kind: type[Entry], entries: Sequence[Entry]) -> None:
        self._columns = [field.name for field in fields(kind)]
        self._entries = list(entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _rows(self) -> list[list[str]]:
        return [[_text(getattr(each, name)) for name in self._columns] for each in self]

    def __repr__(self) -> str:
        rows = [self._columns, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def row(tag: str, texts: Sequence[str]) -> str:
            cells = "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
            return f"<tr>{cells}</tr>"

        body = "".join(row("td", texts) for texts in self._rows())
        head = row("th", self._columns)
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
