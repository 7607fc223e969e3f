"""What a store lists, as plain data that shows itself as a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from html import escape
from typing import Any, Generic, TypeVar, overload

from ptsecure import _ptsecure
from ptsecure.errors import BY_CODE
from ptsecure.source import Captured

__all__ = [
    "Alias",
    "AliasRecord",
    "Check",
    "Listing",
    "LogRecord",
    "ModelEntry",
    "PublishedVersion",
    "VersionEntry",
]


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
    """The number of the record in the alias's chain, from 1; `load(min_sequence=)` takes it."""
    time: datetime
    """When it was signed, by the signer's clock."""
    reason: str
    signer: str = field(repr=False)
    """The kid of the key that signed it."""
    signer_trusted: bool = field(repr=False)
    """False: the keyring no longer holds or trusts the signer; the records after it vouch."""
    manifest: str = field(repr=False)
    """SHA-256 of the version's manifest in base64url; `load(manifest=)` takes it."""
    record: str = field(repr=False)
    """SHA-256 of the record in base64url."""


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """One record of an alias's history, verified; members as in `Alias`."""

    alias: str
    version: int | None
    """None: this record deleted the alias."""
    sequence: int
    time: datetime
    reason: str
    signer: str = field(repr=False)
    signer_trusted: bool = field(repr=False)
    manifest: str | None = field(repr=False)
    record: str = field(repr=False)

    @property
    def deleted(self) -> bool:
        return self.version is None


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a store's log, verified; None where a member doesn't apply."""

    sequence: int
    """The record's number in the log, from 1."""
    time: datetime
    """When it was signed, by the signer's clock."""
    what: str
    """"publish", "alias", "alias-delete", "key" or "apikey" announces a change; "done" confirms
    that the change which record `confirms` announced was made."""
    name: str | None
    version: int | None
    alias: str | None
    confirms: int | None
    reason: str
    signer: str = field(repr=False)
    """The kid of the key that signed it."""
    signer_trusted: bool = field(repr=False)
    manifest: str | None = field(repr=False)
    """SHA-256 of the version's manifest in base64url."""
    chain: str | None = field(repr=False)
    """The chain of records that the change is in: "alias/digits/production"."""
    chain_sequence: int | None = field(repr=False)
    record: str = field(repr=False)
    """SHA-256 of the record in base64url."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of `Store.verify` or `Store.verify_log`."""

    check: str
    """What was looked at: "manifest", "payload model", "alias production", "log record 7"."""
    status: str
    """"ok", or what is wrong: "corrupt"."""
    detail: str

    @property
    def ok(self) -> bool:
        return self.status == "ok"


Entry = TypeVar("Entry", bound=Any)


def _text(value: object) -> str:
    if value is None:
        return ""
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
        self._columns = [each.name for each in fields(kind) if each.repr]
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


def entry(kind: type[Entry], members: dict[str, Any], **more: object) -> Entry:
    """An entry from the JSON that the library gives; None for members that aren't there."""
    values: dict[str, Any] = {each.name: members.get(each.name) for each in fields(kind)} | more
    for name, value in values.items():
        if name in ("created", "time"):
            values[name] = datetime.fromisoformat(value)
        elif isinstance(value, list):
            values[name] = tuple(value)
    made: Entry = kind(**values)
    return made


def listed(kind: type[Entry], found: Sequence[dict[str, Any]], **more: object) -> Listing[Entry]:
    return Listing(kind, [entry(kind, each, **more) for each in found])


def checked(findings: "_ptsecure.Findings") -> Listing[Check]:
    """The findings of a verification; raised when one is bad."""
    found, status, message = findings
    checks = Listing(
        Check, [Check(what, _ptsecure.status_name(code), text) for what, code, text in found]
    )
    if status == 0:
        return checks
    error = BY_CODE[status](message)
    error.checks = checks
    raise error
