"""One exception class for each status of the C ABI (docs/errors.md)."""

import builtins
from typing import Any

from ptsecure import _ptsecure

__all__ = [
    "AlreadyExistsError",
    "CancelledError",
    "ClosedError",
    "ConflictError",
    "CorruptError",
    "EngineError",
    "Error",
    "ForbiddenError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidInputError",
    "InvalidModelError",
    "LimitExceededError",
    "NoKeyError",
    "NotFoundError",
    "OutOfMemoryError",
    "PermissionDeniedError",
    "RateLimitedError",
    "RevokedError",
    "RollbackError",
    "StorageError",
    "TimeoutError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
    "UntrustedError",
]


class Error(Exception):
    """Any failure. Its text is one sentence: what was expected, what was found, what to do.

    Attributes:
        status: the name of the C ABI's status, "not_found".
        code: its number.
        version: the version that was published although setting its alias failed, else None.
        checks: what `Store.verify` found, when it raised this.
    """

    code: int = 0
    version: int | None = None
    checks: Any = ()

    @property
    def status(self) -> str:
        return _ptsecure.status_name(self.code)


class InvalidArgumentError(Error, ValueError):
    """The call itself is wrong: a bad name, a bad option."""

    code = 1


class NotFoundError(Error, LookupError):
    """No such store, model, version, alias, method or file."""

    code = 2


class AlreadyExistsError(Error):
    """The name or number is taken."""

    code = 3


class ConflictError(Error):
    """Another writer was faster, or the file changed: read again, then decide."""

    code = 4


class UntrustedError(Error):
    """A signature is missing, wrong, or by a key that isn't trusted for this."""

    code = 5


class CorruptError(Error):
    """Stored bytes are damaged, incomplete, mixed up or malformed."""

    code = 6


class NoKeyError(Error):
    """The keyring holds no key that opens, signs or wraps this."""

    code = 7


class RevokedError(Error):
    """The key record says disabled or destroyed."""

    code = 8


class RollbackError(Error):
    """Older than what is known to have existed."""

    code = 9


class PermissionDeniedError(Error, PermissionError):
    """The system or the store refused access, or a key file is too open."""

    code = 10


class UnavailableError(Error, ConnectionError):
    """The store can't be reached."""

    code = 11


class TimeoutError(Error, builtins.TimeoutError):
    """The time limit passed."""

    code = 12


class CancelledError(Error):
    """Cancelled by the caller."""

    code = 13


class StorageError(Error, OSError):
    """Reading or writing failed."""

    code = 14


class OutOfMemoryError(Error, MemoryError):
    """An allocation failed."""

    code = 15


class UnsupportedError(Error):
    """This build, device, format or algorithm isn't supported."""

    code = 16


class InvalidModelError(Error):
    """The file is no model that the engine can load."""

    code = 17


class InvalidInputError(Error, ValueError):
    """Inputs aren't what the model expects, or no inputs at all."""

    code = 18


class EngineError(Error):
    """The engine can't be loaded, or the model failed while running."""

    code = 19


class LimitExceededError(Error):
    """A size, depth or count is over a limit."""

    code = 20


class ClosedError(Error):
    """The object was closed, or belongs to the process before a fork."""

    code = 21


class InternalError(Error):
    """A defect in this library; please report it."""

    code = 22


class UnauthenticatedError(Error):
    """No API key, or none that is valid now."""

    code = 23


class ForbiddenError(Error, PermissionError):
    """The API key is valid, but not for this scope or model."""

    code = 24


class RateLimitedError(Error):
    """The API key is over its requests or bytes per second.

    Attributes:
        retry_after: seconds after which to try again.
    """

    code = 25
    retry_after: float = 0.0


BY_CODE: list[type[Error]] = [Error, *sorted(Error.__subclasses__(), key=lambda each: each.code)]
_ptsecure.set_error_classes(BY_CODE)
