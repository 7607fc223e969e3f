"""Where the bytes of a model, or the text of a JWE, come from."""

import io
import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from ptsecure import _ptsecure
from ptsecure._arguments import text_or_none
from ptsecure.errors import ConflictError, InvalidArgumentError
from ptsecure.progress import Progress

__all__ = [
    "STORED",
    "BinaryFile",
    "Captured",
    "Format",
    "GridFSFile",
    "Source",
    "Stored",
    "Wanted",
    "to_source",
]

Format = Literal["torchscript", "aotinductor", "opaque"]
Captured = Literal["scripted", "traced"]


class BinaryFile(Protocol):
    """A file object that can seek, opened in binary mode: what `open(path, "rb")` gives, an
    io.BytesIO, a GridOut of pymongo's GridFS.

    All of it is read, from its first byte on, wherever it stood. It must not change meanwhile and
    nobody else may use it; where it stands afterwards is left open. It is read on another thread.
    """

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


@dataclass(frozen=True, slots=True)
class GridFSFile:
    """A file in a MongoDB database's GridFS, fetched by the library itself. It is only read."""

    uri: str
    """mongodb:// or mongodb+srv://, naming the database. Its own time limits count, or else 5 s to
    find a server and 60 s for a round trip."""
    filename: str | None = None
    """The newest file of that name; or else `id`."""
    id: object = None
    """The file with this _id: an ObjectId, its 24 hex digits, or another text."""
    bucket: str = "fs"


Bytes = bytes | bytearray | memoryview | mmap.mmap
Stored = str | os.PathLike[str] | Bytes | BinaryFile | GridFSFile
"""A path; anything bytes-like; a BinaryFile; or a GridFSFile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a publish asks for that decides how a model becomes bytes."""

    sample: tuple[Any, ...] | None = None
    format: Format | None = None
    compile: bool = False
    weights_of: str | None = None
    progress: Progress = False


class Source(ABC):
    """A model of one kind, that knows how its bytes get into the library."""

    kind: ClassVar[str] = ""
    """What an error calls it; "" = not spoken of."""
    captured: Captured | None = None
    """How an nn.Module became a program, once `raw` was called."""

    def __init__(self, model: Any, wanted: Wanted) -> None:
        self.model = model
        self.wanted = wanted

    @classmethod
    @abstractmethod
    def takes(cls, model: object, wanted: Wanted) -> bool:
        """Whether it is of this kind."""

    @abstractmethod
    def add_to(self, raw: _ptsecure.Source) -> None: ...

    def raw(self) -> _ptsecure.Source:
        """For the library, which reads it during the call."""
        raw = _ptsecure.Source()
        self.add_to(raw)
        return raw


class PathSource(Source):
    kind = "a path"

    @classmethod
    def takes(cls, model: object, wanted: Wanted) -> bool:
        return isinstance(model, str | os.PathLike)

    def add_to(self, raw: _ptsecure.Source) -> None:
        raw.add_file(os.fspath(self.model))


class GridFSSource(Source):
    kind = "a GridFSFile"

    @classmethod
    def takes(cls, model: object, wanted: Wanted) -> bool:
        return isinstance(model, GridFSFile)

    def add_to(self, raw: _ptsecure.Source) -> None:
        file: GridFSFile = self.model
        raw.add_gridfs(
            uri=file.uri,
            bucket=file.bucket,
            filename=text_or_none("filename", file.filename),
            id=text_or_none("id", None if file.id is None else str(file.id)),
        )


class MemorySource(Source):
    """Anything that has a buffer."""

    kind = "bytes"

    @classmethod
    def takes(cls, model: object, wanted: Wanted) -> bool:
        if isinstance(model, io.BytesIO):
            return True
        try:
            with memoryview(model):  # type: ignore[arg-type]  # anything may have a buffer
                return True
        except TypeError:
            return False

    def add_to(self, raw: _ptsecure.Source) -> None:
        data = self.model.getbuffer() if isinstance(self.model, io.BytesIO) else self.model
        raw.add_bytes(memoryview(data))


class FileSource(Source):
    kind = "a binary file"

    @classmethod
    def takes(cls, model: object, wanted: Wanted) -> bool:
        return hasattr(model, "read")

    def add_to(self, raw: _ptsecure.Source) -> None:
        reading = _Reading(self.model)
        raw.add_reader(reading.size, reading)


class _Reading:
    """A binary file, read by position."""

    def __init__(self, file: BinaryFile) -> None:
        self._file = file
        if isinstance(file, io.TextIOBase):
            raise InvalidArgumentError("the file gives text: open it in binary mode, 'rb'")
        try:
            file.seek(0, os.SEEK_END)
            self._at = self.size = file.tell()
        except (AttributeError, OSError, ValueError) as error:
            raise InvalidArgumentError(
                f"a {type(file).__name__} can't be read out of turn ({error}): expected a file "
                "that can seek; or pass the bytes of its read()"
            ) from error

    def __call__(self, position: int, into: memoryview) -> None:
        if position != self._at:
            self._file.seek(position)
            self._at = position
        filled = 0
        while filled < len(into):
            part = self._file.read(len(into) - filled)
            if not isinstance(part, bytes | bytearray | memoryview):
                raise InvalidArgumentError(
                    f"the file's read gives {type(part).__name__}: open it in binary mode, 'rb'"
                )
            if not part:
                raise ConflictError(
                    f"the file ends at byte {position + filled} and had {self.size} before: "
                    "publish it again when nobody changes it"
                )
            into[filled : filled + len(part)] = part
            filled += len(part)
        self._at += filled


STORED: tuple[type[Source], ...] = (PathSource, GridFSSource, MemorySource, FileSource)
"""The kinds whose bytes are there already."""


def to_source(
    model: object, kinds: Sequence[type[Source]] = STORED, wanted: Wanted | None = None
) -> Source:
    """What publishes a model, by the first kind that takes it."""
    wanted = wanted or Wanted()
    for kind in kinds:
        if kind.takes(model, wanted):
            return kind(model, wanted)
    *names, last = [kind.kind for kind in kinds if kind.kind]
    raise InvalidArgumentError(
        f"a {type(model).__name__} is no model: expected {', '.join(names)} or {last}"
    )
