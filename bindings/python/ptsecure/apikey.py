"""API keys: what clients show to a server that answers for models."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from ptsecure import _ptsecure
from ptsecure._handle import Handle
from ptsecure.errors import BY_CODE, RateLimitedError
from ptsecure.keyring import Keyring
from ptsecure.store import Store

__all__ = ["ApiKeyManager", "ApiKeyUse", "ApiKeys", "NewApiKey", "Scope"]

Scope = Literal["infer", "admin"]
_SCOPES = {"infer": 1, "admin": 2}


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made."""

    key: str = field(repr=False)
    """The text for the client, which exists nowhere else and can't be had again."""
    record: dict[str, Any]
    """As `ApiKeyManager.show` gives it."""

    @property
    def id(self) -> str:
        return str(self.record["id"])


def _seconds(time: datetime | None) -> int:
    return 0 if time is None else int(time.timestamp())


class ApiKeyManager:
    """An operator's work on a store's API keys, with a keyring that may sign their records."""

    __slots__ = ("_keys", "_store")

    def __init__(self, store: Store, keys: Keyring) -> None:
        self._store = store
        self._keys = keys

    def create(
        self,
        owner: str,
        models: Iterable[str],
        *,
        scopes: Iterable[Scope] = ("infer",),
        rate: float = 0,
        burst: int = 0,
        bytes_rate: int = 0,
        not_before: datetime | None = None,
        expires: datetime | None = None,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> NewApiKey:
        """Makes an API key.

        Args:
            owner: whom it is for.
            models: 1 to 64 names, or prefixes followed by "*".
            scopes: "infer", "admin" or both.
            rate: requests per second; 0 = unlimited.
            burst: requests at once; 0 = one second's.
            bytes_rate: tensor bytes per second; 0 = unlimited.
            not_before, expires: with a time zone, or local time; None = at once, never.
            reason: why, for the record.
            timeout: see `Store`.
        """
        key, record = _ptsecure.create_apikey(
            self._store._raw,
            self._keys._raw,
            _ptsecure.Deadline(timeout),
            owner=owner,
            models=list(models),
            scopes=sum({_SCOPES[scope] for scope in scopes}),
            rate=rate,
            burst=burst,
            bytes_rate=bytes_rate,
            not_before=_seconds(not_before),
            expires=_seconds(expires),
            reason=reason or "",
        )
        return NewApiKey(key, json.loads(record))

    def rotate(
        self,
        id: str,
        *,
        grace: timedelta = timedelta(),
        reason: str | None = None,
        timeout: float | None = None,
    ) -> NewApiKey:
        """Gives the same id a new secret; the one before stays valid for `grace`."""
        seconds, limit = int(grace.total_seconds()), _ptsecure.Deadline(timeout)
        key, record = _ptsecure.rotate_apikey(
            self._store._raw, self._keys._raw, id, seconds, reason or "", limit
        )
        return NewApiKey(key, json.loads(record))

    def set_state(
        self,
        id: str,
        state: Literal["active", "disabled", "deleted"],
        *,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """ "deleted" is final (RevokedError afterwards). Checkers refuse a key that was disabled
        or deleted within two seconds, while the store answers them."""
        limit = _ptsecure.Deadline(timeout)
        _ptsecure.set_apikey_state(
            self._store._raw, self._keys._raw, id, state, reason or "", limit
        )

    def show(self, id: str, *, timeout: float | None = None) -> dict[str, Any]:
        """id, owner, scopes, models, state, not_before, expires, created, rate, burst, bytes_rate,
        old_secret_until, sequence, time, reason, signer; verified."""
        limit = _ptsecure.Deadline(timeout)
        record: dict[str, Any] = json.loads(
            _ptsecure.show_apikey(self._store._raw, self._keys._raw, id, limit)
        )
        return record

    def list(self, *, timeout: float | None = None) -> list[dict[str, Any]]:
        """What `show` gives of each; of one whose records aren't to be trusted id and error."""
        limit = _ptsecure.Deadline(timeout)
        records: list[dict[str, Any]] = json.loads(
            _ptsecure.list_apikeys(self._store._raw, self._keys._raw, limit)
        )
        return records


@dataclass(frozen=True, slots=True)
class ApiKeyUse:
    """A key that may do what was asked for."""

    id: str
    owner: str


class ApiKeys(Handle):
    """Checks the API keys that requests bring, from any thread.

    A thread of its own asks the store which keys have changed, so that a key that was disabled,
    deleted or rotated is refused within two seconds while the store answers; a check reads memory
    alone, apart from the first one of an id. Open one per worker process, after forking.

    Args:
        store: where the keys' records are.
        keys: with the public key of those who sign API keys.
        grace: seconds that keys stay valid while the store can't be asked.
        refresh: seconds between two questions to the store, 0.01 to 1.
        timeout: for opening it, which asks the store once; see `Store`.
    """

    __slots__ = ()

    _raw: _ptsecure.ApiKeys

    def __init__(
        self,
        store: Store,
        keys: Keyring,
        *,
        grace: float = 60.0,
        refresh: float = 0.5,
        timeout: float | None = None,
    ) -> None:
        limit = _ptsecure.Deadline(timeout)
        self._raw = _ptsecure.ApiKeys.open(store._raw, keys._raw, grace, refresh, limit)

    def check(
        self,
        presented: str,
        *,
        model: str | None = None,
        scope: Scope = "infer",
        counted: bool = True,
        nbytes: int = 0,
        timeout: float | None = None,
    ) -> ApiKeyUse:
        """Whether the text that a client presents may do this now; charges its rates.

        Args:
            presented: the key, "" for none.
            model: what the request is about; None = no model, with "admin" all models.
            scope: what it needs.
            counted: False asks only, and leaves the rates alone.
            nbytes: tensor bytes that the request brings.
            timeout: seconds to wait for the store, which is asked about an id that is new; at most
                about 2 are waited in any case.

        Raises:
            UnauthenticatedError: no such key, or none that is valid now.
            ForbiddenError: a valid key, but not for this.
            RateLimitedError: over its rate; `retry_after` says how many seconds to wait.
            UnavailableError: the store hasn't answered for longer than the grace.
        """
        limit = None if timeout is None else _ptsecure.Deadline(timeout)
        status, message, id, owner, wait = self._raw.check(
            presented, model or "", _SCOPES[scope], counted, nbytes, limit
        )
        if status == 0:
            return ApiKeyUse(id, owner)
        error = BY_CODE[status](message)
        if isinstance(error, RateLimitedError):
            error.retry_after = wait / 1000
        raise error

    def charge(self, id: str, nbytes: int) -> None:
        """Charges more bytes to a key that was checked, for example those of the answer."""
        self._raw.charge(id, nbytes)

    def usage(self) -> list[dict[str, Any]]:
        """What this checker has seen: id, owner, last_used, requests, bytes, limited."""
        seen: list[dict[str, Any]] = json.loads(self._raw.usage())
        return seen

    def __repr__(self) -> str:
        return f"<ptsecure.ApiKeys{': closed' if self.closed else ''}>"
