"""Signed and encrypted PyTorch models, opened inside your own process.

    import ptsecure

    keys = ptsecure.Keyring.load("keys.jwks")
    store = ptsecure.open_store("mongodb://127.0.0.1/models")  # or a path
    store.publish("digits", "digits.pt", keys, alias="production", sample=x)
    model = store.load("digits@production", keys)
    y = model(x)  # NumPy in, NumPy out; torch in, torch out

Every failure is a `ptsecure.Error` of the class that docs/errors.md names. torch is used where
Python would import it from, but not imported.
"""

import json
from typing import Any

from ptsecure import _ptsecure
from ptsecure.apikey import ApiKeyManager, ApiKeys, ApiKeyUse, NewApiKey
from ptsecure.errors import (
    AlreadyExistsError,
    CancelledError,
    ClosedError,
    ConflictError,
    CorruptError,
    EngineError,
    Error,
    ForbiddenError,
    InternalError,
    InvalidArgumentError,
    InvalidInputError,
    InvalidModelError,
    LimitExceededError,
    NoKeyError,
    NotFoundError,
    OutOfMemoryError,
    PermissionDeniedError,
    RateLimitedError,
    RevokedError,
    RollbackError,
    StorageError,
    TimeoutError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
    UntrustedError,
)
from ptsecure.expect import Expect
from ptsecure.keyring import Keyring
from ptsecure.listing import (
    Alias,
    AliasRecord,
    Check,
    Listing,
    LogRecord,
    ModelEntry,
    PublishedVersion,
    VersionEntry,
)
from ptsecure.model import Model, Package
from ptsecure.source import BinaryFile, GridFSFile
from ptsecure.state import default_state_path, reset_state, show_state
from ptsecure.store import Store, open_store

__version__: str = _ptsecure.version

__all__ = [
    "Alias",
    "AliasRecord",
    "AlreadyExistsError",
    "ApiKeyManager",
    "ApiKeyUse",
    "ApiKeys",
    "BinaryFile",
    "CancelledError",
    "Check",
    "ClosedError",
    "ConflictError",
    "CorruptError",
    "EngineError",
    "Error",
    "Expect",
    "ForbiddenError",
    "GridFSFile",
    "InternalError",
    "InvalidArgumentError",
    "InvalidInputError",
    "InvalidModelError",
    "Keyring",
    "LimitExceededError",
    "Listing",
    "LogRecord",
    "Model",
    "ModelEntry",
    "NewApiKey",
    "NoKeyError",
    "NotFoundError",
    "OutOfMemoryError",
    "Package",
    "PermissionDeniedError",
    "PublishedVersion",
    "RateLimitedError",
    "RevokedError",
    "RollbackError",
    "StorageError",
    "Store",
    "TimeoutError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
    "UntrustedError",
    "VersionEntry",
    "__version__",
    "default_state_path",
    "features",
    "open_store",
    "reset_state",
    "show_state",
]


def features() -> dict[str, Any]:
    """What this build can do: version, formats, stores, openssl, libmongoc, torch, and whether
    secret memory is locked."""
    facts: dict[str, Any] = json.loads(_ptsecure.features())
    return facts
