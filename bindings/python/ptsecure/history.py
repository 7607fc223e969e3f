"""What a store's signed records say: aliases, the status of keys, the log."""

import json
from typing import Literal

from ptsecure import _ptsecure
from ptsecure._arguments import text_or_none
from ptsecure._handle import Handle
from ptsecure.errors import InvalidArgumentError
from ptsecure.keyring import Keyring
from ptsecure.listing import Alias, AliasRecord, Check, Listing, LogRecord, checked, entry, listed

__all__ = ["History", "KeyStatus"]

KeyStatus = Literal["enabled", "disabled", "destroyed"]


class History(Handle):
    """The part of a Store that is about its records."""

    __slots__ = ()

    _raw: _ptsecure.Store

    # --- aliases ------------------------------------------------------------------------------

    def aliases(self, name: str, keys: Keyring, *, timeout: float | None = None) -> Listing[Alias]:
        """The aliases of a model, verified; deleted ones are left out."""
        limit = _ptsecure.Deadline(timeout)
        found = json.loads(_ptsecure.list_aliases(self._raw, name, keys._raw, limit))
        return listed(Alias, found)

    def alias(self, name: str, alias: str, keys: Keyring, *, timeout: float | None = None) -> Alias:
        """One alias, verified. Its `sequence` and `manifest` are what a deployment without a state
        pins by `Expect(min_sequence=)` or `Expect(manifest=)`.

        Raises:
            NotFoundError: there is none, or it was deleted.
        """
        limit = _ptsecure.Deadline(timeout)
        record = json.loads(_ptsecure.show_alias(self._raw, name, alias, keys._raw, limit))
        return entry(Alias, record)

    def set_alias(
        self,
        name: str,
        alias: str,
        version: int,
        keys: Keyring,
        *,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Points an alias at a version, which is verified first, as a new signed record.

        Args:
            name: the model's.
            alias: a deleted one continues its history.
            version: its number.
            keys: with a key that may sign alias and log records of that name.
            reason: why, for the record, which is stored readable and signed.
            timeout: see `Store`.

        Raises:
            ConflictError: another operator was faster; nothing was changed.
            NoKeyError: no key that may sign alias records.
            RevokedError: that version's content key isn't enabled.
        """
        limit = _ptsecure.Deadline(timeout)
        _ptsecure.set_alias(self._raw, name, alias, version, keys._raw, reason or "", limit)

    def rollback(
        self,
        name: str,
        alias: str | None,
        keys: Keyring,
        *,
        to: int | None = None,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Points an alias back at an earlier version, as a new signed record.

        Args:
            name: the model's.
            alias: None = the model's only one.
            keys: with a key that may sign alias and log records of that name.
            to: the version; None = the one that it pointed at before the present one. Doing so
                again goes back further.
            reason: why, for the record.
            timeout: see `Store`.

        Returns:
            The version it points at now.

        Raises:
            NotFoundError: no such alias or version, or it never pointed at another one.
            RevokedError: that version's content key isn't enabled.
            ConflictError: another operator was faster; nothing was changed.
        """
        if to is not None and to < 1:
            raise InvalidArgumentError(f"to is a version, from 1 on, or None, not {to}")
        alias = text_or_none("alias", alias)
        limit = _ptsecure.Deadline(timeout)
        return _ptsecure.rollback_alias(
            self._raw, name, alias, to or 0, keys._raw, reason or "", limit
        )

    def delete_alias(
        self,
        name: str,
        alias: str,
        keys: Keyring,
        *,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Ends an alias by a signed record that says so; its history stays, and setting it again
        continues it.

        Raises:
            NotFoundError: there is none, or it was deleted already.
            ConflictError: another operator was faster; nothing was changed.
        """
        limit = _ptsecure.Deadline(timeout)
        _ptsecure.delete_alias(self._raw, name, alias, keys._raw, reason or "", limit)

    def history(
        self, name: str, alias: str, keys: Keyring, *, timeout: float | None = None
    ) -> Listing[AliasRecord]:
        """Every record of an alias, verified, the oldest first."""
        limit = _ptsecure.Deadline(timeout)
        found = json.loads(_ptsecure.alias_history(self._raw, name, alias, keys._raw, limit))
        return listed(AliasRecord, found)

    # --- keys and the log ---------------------------------------------------------------------

    def set_key_status(
        self,
        reference: str,
        status: KeyStatus,
        keys: Keyring,
        *,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Enables, disables or destroys (for good) the content key of a version. Openers refuse a
        key that isn't enabled (RevokedError). The status that it has is signed anew where another
        key than this keyring's had signed it."""
        limit = _ptsecure.Deadline(timeout)
        _ptsecure.set_key_status(self._raw, reference, status, keys._raw, reason or "", limit)

    def log(
        self,
        keys: Keyring,
        *,
        first: int = 1,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> Listing[LogRecord]:
        """The store's log of every signed change, verified, the oldest first.

        Args:
            keys: with the public keys of those who publish to the store and operate it.
            first: the number of the first record to give.
            limit: how many at most; None = all.
            timeout: see `Store`.
        """
        if limit == 0:
            return listed(LogRecord, [])
        until = _ptsecure.Deadline(timeout)
        found = json.loads(_ptsecure.show_log(self._raw, keys._raw, first, limit or 0, until))
        return listed(LogRecord, found)

    def verify_log(
        self, keys: Keyring, *, head: str | None = None, timeout: float | None = None
    ) -> Listing[Check]:
        """Verifies the whole log: that no record is missing, altered or out of order, that each
        change it announces is in the store, and that nothing is there that it doesn't announce.

        Args:
            keys: as for `log`.
            head: "SEQUENCE:DIGEST" that the log must lead past, as the finding "log head" of an
                earlier call has it in its `detail`. Shows, as the store's state does, that newer
                records were cut off.
            timeout: see `Store`.

        Returns:
            What was looked at.

        Raises:
            RollbackError, UntrustedError, CorruptError: the first check that failed; all of them
                are in the exception's `checks`.
        """
        known = text_or_none("head", head)
        limit = _ptsecure.Deadline(timeout)
        return checked(_ptsecure.verify_log(self._raw, keys._raw, known, limit))
