"""Where the bytes of a model, or the text of a JWE, come from."""

import base64
import io
import json
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ptsecure import _ptsecure
from ptsecure._arguments import text_or_none
from ptsecure.errors import ConflictError, InvalidArgumentError

__all__ = ["BinaryFile", "GridFSFile", "JWKLike", "Source"]


class BinaryFile(Protocol):
    """A file object that can seek, opened in binary mode: what `open(path, "rb")` gives, an
    io.BytesIO, a GridOut of pymongo's GridFS.

    All of it is read, from its first byte on, wherever it stood. It must not change meanwhile and
    nobody else may use it; where it stands afterwards is left open. It is read on another thread.
    """

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


Bytes = bytes | bytearray | memoryview | mmap.mmap
Source = str | os.PathLike[str] | Bytes | BinaryFile
"""A path; anything bytes-like; or a BinaryFile."""

JWKLike = Mapping[str, Any] | str | bytes
"""A JWK (RFC 7517) as a dict, or as JSON text."""

_ReadAt = Callable[[int, memoryview], None]


@dataclass(frozen=True, slots=True)
class GridFSFile:
    """A file in a MongoDB database's GridFS, fetched by the library itself: `Store.import_jwe`
    takes it. It is only read."""

    uri: str
    """mongodb:// or mongodb+srv://, naming the database. Its own time limits count, or else 5 s to
    find a server and 60 s for a round trip."""
    filename: str | None = None
    """The newest file of that name; or else `id`."""
    id: object = None
    """The file with this _id: an ObjectId, its 24 hex digits, or another text."""
    bucket: str = "fs"
    jwk_filename: str | None = None
    """The file in the same bucket that holds the JWK. Then none is given, and the plaintext's
    SHA-256 has to be: whoever can write there can have made both."""

    def _raw(self) -> _ptsecure.GridfsFile:
        return _ptsecure.GridfsFile(
            self.uri,
            self.bucket,
            text_or_none("filename", self.filename),
            text_or_none("id", None if self.id is None else str(self.id)),
            text_or_none("jwk_filename", self.jwk_filename),
        )


def _memory(source: object) -> memoryview | None:
    """A view of what is bytes-like."""
    if isinstance(source, io.BytesIO):
        return source.getbuffer()
    try:
        return memoryview(source)  # type: ignore[arg-type]  # anything may have a buffer
    except TypeError:
        return None


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


def _reading(source: Any, also: str) -> _Reading:
    if not hasattr(source, "read"):
        raise InvalidArgumentError(
            f"a {type(source).__name__} is no model: expected a path, bytes, a binary file{also}"
        )
    return _Reading(source)


def publish(
    store: _ptsecure.Store,
    name: str,
    model: object,
    keys: _ptsecure.Keyring,
    arguments: _ptsecure.PublishArguments,
    on_progress: "_ptsecure.OnProgress",
) -> int:
    if isinstance(model, str | os.PathLike):
        path = os.fspath(model)
        return _ptsecure.publish_file(store, name, path, keys, arguments, on_progress)
    memory = _memory(model)
    if memory is not None:
        return _ptsecure.publish_bytes(store, name, memory, keys, arguments, on_progress)
    reading = _reading(model, ", a torch module or a torch.export.ExportedProgram")
    return _ptsecure.publish_read(store, name, reading.size, reading, keys, arguments, on_progress)


def _from_memory(memory: memoryview) -> tuple[int, _ReadAt]:
    flat = memory.cast("B") if memory.c_contiguous else memoryview(memory.tobytes())

    def read(position: int, into: memoryview) -> None:
        into[:] = flat[position : position + len(into)]

    return len(flat), read


def _jwk_text(jwk: JWKLike | None, password: str | bytes | None) -> bytes:
    if jwk is not None and password is not None:
        raise InvalidArgumentError("a JWE is opened by jwk= or by password=, not by both")
    if password is not None:
        octets = password.encode() if isinstance(password, str) else password
        k = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
        return json.dumps({"kty": "oct", "k": k}).encode()
    if jwk is None:
        return b""
    text = json.dumps(dict(jwk)) if isinstance(jwk, Mapping) else jwk
    return text.encode() if isinstance(text, str) else text


def import_jwe(
    store: _ptsecure.Store,
    name: str,
    source: object,
    jwk: JWKLike | None,
    password: str | bytes | None,
    sha256: str | bytes | None,
    keys: _ptsecure.Keyring,
    arguments: _ptsecure.PublishArguments,
    on_progress: "_ptsecure.OnProgress",
) -> int:
    text = _jwk_text(jwk, password)
    digest = text_or_none("sha256", sha256.hex() if isinstance(sha256, bytes) else sha256)
    rest = (text, digest, keys, arguments, on_progress)
    if isinstance(source, GridFSFile):
        return _ptsecure.import_gridfs(store, name, source._raw(), *rest)
    if not text:
        raise InvalidArgumentError("a JWE needs the key that opens it: jwk= or password=")
    if isinstance(source, str | os.PathLike):
        return _ptsecure.import_file(store, name, os.fspath(source), *rest)
    memory = _memory(source)
    if memory is not None:
        size, read = _from_memory(memory)
        return _ptsecure.import_read(store, name, size, read, *rest)
    reading = _reading(source, " or a GridFSFile")
    return _ptsecure.import_read(store, name, reading.size, reading, *rest)
