"""Keys, as a JWK Set."""

import json
import os
from collections.abc import Mapping
from typing import Any, Literal, NoReturn, Self

from ptsecure import _ptsecure

__all__ = ["Keyring", "Role"]

Role = Literal["publisher", "opener", "verifier", "operator"]


class Keyring:
    """The keys a process holds: a JWK Set (RFC 7517). Immutable; any thread may use it.

    Private keys lie in locked memory that is left out of core dumps and overwritten when freed.
    Make one with `load`, `generate`, `from_env` or `from_dict`.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: _ptsecure.Keyring) -> None:
        self._raw = raw

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        passphrase: str | None = None,
        allow_group_read: bool = False,
    ) -> Self:
        """Reads a JWK Set file.

        Args:
            path: the file. One with private keys must be owned by you or root and closed to group
                and others.
            passphrase: of a file that is encrypted with one.
            allow_group_read: accept a private file that its group may read (0640).

        Raises:
            NotFoundError: there is no such file.
            PermissionDeniedError: it is too open; the text says which chmod helps.
            NoKeyError: the passphrase is missing or wrong.
            CorruptError: it is no JWK Set.
        """
        return cls(_ptsecure.Keyring.load(os.fspath(path), passphrase or "", allow_group_read))

    @classmethod
    def generate(cls) -> Self:
        """New keys for every role: an Ed25519 key that signs manifests and log records, one that
        signs records of aliases, content keys' status and API keys, and log records, and a P-256
        key that content keys are wrapped for."""
        return cls(_ptsecure.Keyring.generate())

    @classmethod
    def from_env(cls, variable: str = "PTSECURE_KEYRING", *, passphrase: str | None = None) -> Self:
        """The JWK Set that is the text of an environment variable (NotFoundError: not set)."""
        return cls(_ptsecure.Keyring.from_env(variable, passphrase or ""))

    @classmethod
    def from_dict(cls, jwks: Mapping[str, Any], *, passphrase: str | None = None) -> Self:
        """A JWK Set as `json.load` gives it, for example from a secret manager.

        The caller's own copy of the keys stays in ordinary memory.
        """
        return cls(_ptsecure.Keyring.parse(json.dumps(jwks).encode(), passphrase or ""))

    def split(self, role: Role) -> Self:
        """The keys of one role: "publisher" (signs manifests, wraps), "opener" (unwraps,
        verifies), "verifier" (public keys only) or "operator" (signs aliases and key records,
        rewraps)."""
        return type(self)(self._raw.split(role))

    def public(self) -> Self:
        """The public keys alone."""
        return type(self)(self._raw.public())

    def save(self, path: str | os.PathLike[str], *, passphrase: str | None = None) -> None:
        """Writes a new file, mode 0600 (0644 if all keys are public).

        Args:
            path: an existing file is never replaced (AlreadyExistsError).
            passphrase: encrypts the file with it.
        """
        self._raw.save(os.fspath(path), passphrase or "")

    def to_dict(self) -> dict[str, Any]:
        """The JWK Set, private keys included: handle with care."""
        jwks: dict[str, Any] = json.loads(bytes(self._raw.export()))
        return jwks

    def describe(self) -> list[dict[str, Any]]:
        """One dict per key: kid, kty, use, private, records, names. No secrets."""
        keys: list[dict[str, Any]] = json.loads(self._raw.describe())
        return keys

    def __len__(self) -> int:
        return len(self.describe())

    def __repr__(self) -> str:
        keys = self.describe()
        private = sum(bool(key["private"]) for key in keys)
        return f"<ptsecure.Keyring: {len(keys)} keys, {private} of them private>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keyring can't be pickled: save it to a file, or load it where it's used")
