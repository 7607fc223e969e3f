"""What a reference must come up to."""

from dataclasses import dataclass
from datetime import timedelta

from ptsecure._arguments import text_or_none
from ptsecure.errors import InvalidArgumentError

__all__ = ["Expect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What a version must come up to before it is opened: protection from old records that were
    properly signed once, where no state remembers newer ones.

        pinned = ptsecure.Expect(min_sequence=3, max_age=timedelta(days=30))
        model = store.load("digits@production", keys, expect=pinned)

    Falling short is RollbackError.

    Raises:
        InvalidArgumentError: a value that asks for nothing.
    """

    manifest: str | None = None
    """Only the version whose manifest has this SHA-256, in base64url or hexadecimal
    (`store.alias(...).manifest`); None = any."""
    min_sequence: int = 0
    """No alias whose last record comes before this one (`store.alias(...).sequence`); only for
    "name@alias". 0 = any."""
    max_age: timedelta | float | None = None
    """No alias whose last record was signed longer ago than this, a timedelta or seconds, by the
    time in that record; None = any. Allow for clocks that differ; a record dated more than 300 s
    into the future is refused too."""

    def __post_init__(self) -> None:
        text_or_none("manifest", self.manifest)
        if not 0 <= self.min_sequence < 2**63:
            raise InvalidArgumentError(
                f"min_sequence is a record's number, or 0 for any, not {self.min_sequence}"
            )
        if self.max_age is not None and not 0 < _seconds(self.max_age) < 2**63:
            raise InvalidArgumentError(
                f"max_age is a positive time, or None for any, not {self.max_age}"
            )

    @property
    def max_age_seconds(self) -> int:
        """As the library takes it: whole seconds, 0 = any."""
        return 0 if self.max_age is None else max(int(_seconds(self.max_age)), 1)


def _seconds(age: timedelta | float) -> float:
    return age.total_seconds() if isinstance(age, timedelta) else age
