"""Which records this execution has met: of one key the first counts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.record import Record

log = logging.getLogger(__name__)

MOST_MET = 100_000
"""Records that are remembered, the newest ones: some megabytes, whatever the size of the push."""


DIFFERS = (
    "%s records were %s: each shares its sync key (%s) with %s of this push and differs from it%s; choose columns for "
    "sync_key that are unique to each record"
)


class Met:
    """Keys and the payloads under which they were met first, as digests of 8 bytes each.

    Of more than ``most`` of them the older half is forgotten.
    """

    def __init__(self, most: int = MOST_MET) -> None:
        self._half = most // 2
        # Python's own digests of texts: 8 bytes, keyed at random in each process.
        self._new: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def remember(self, identifier: str, payload_hash: str) -> None:
        """Remember a key and the payload of its first record."""
        if len(self._new) >= self._half:
            self._new, self._old = {}, self._new
        self._new[hash(identifier)] = hash(payload_hash)

    def is_same(self, identifier: str, payload_hash: str) -> bool | None:
        """Tell whether the first record of a key had this payload; ``None`` where the key has not been met."""
        key = hash(identifier)
        found = self._new.get(key, self._old.get(key))
        return None if found is None else found == hash(payload_hash)

    def among(self, identifiers: Iterable[str]) -> set[str]:
        """Return those of the keys that have been met."""
        if not self._new:
            return set()
        return {one for one in identifiers if hash(one) in self._new or hash(one) in self._old}


class Keys:
    """The keys of one push.

    ``active`` has the records queued, waiting or in flight, by identifier, with the digest of their payload;
    ``not_unique`` counts the records that differ from the first one of their key.
    """

    def __init__(self, sync_key: Sequence[str], *, token: str) -> None:
        self.not_unique = 0
        self.active: dict[str, str] = {}
        self._key = ", ".join(sync_key)
        self._own = f"{token}."
        # Records that are decided and are not sent; and those that an earlier execution delivered.
        self._decided = Met()
        self._skipped = Met()
        self._skipped_beside = 0

    def known(self, identifiers: Sequence[str]) -> set[str]:
        """Return those that are under way, were met before, or come more than once among these."""
        distinct = set(identifiers)
        found = (self.active.keys() & distinct) | self._decided.among(distinct)
        if len(distinct) < len(identifiers):
            found |= {one for one, times in Counter(identifiers).items() if times > 1}
        return found

    def is_same(self, record: Record) -> bool | None:
        """Tell whether the first record of this key had the same payload; ``None`` where this is the first."""
        first = self.active.get(record.record_identifier)
        if first is not None:
            return first == record.payload_hash
        return self._decided.is_same(record.record_identifier, record.payload_hash)

    def remember(self, identifier: str, payload_hash: str) -> None:
        """Remember a record that is decided."""
        self._decided.remember(identifier, payload_hash)

    def delivered(self, identifiers: Iterable[str]) -> None:
        """Take records out of those under way that have a row of this execution."""
        for identifier in identifiers:
            self.active.pop(identifier, None)

    def done(self, outcome: Outcome) -> None:
        """Take a record out of those under way, and remember it where no row of this execution tells of it."""
        met = self.active.pop(outcome.record_identifier, None)
        if met is not None and not (outcome.batch_id or "").startswith(self._own):
            self._decided.remember(outcome.record_identifier, met)

    def skip(self, record: Record) -> bool:
        """Tell whether a record that was delivered before is the first one of its key; count one that differs."""
        same = self._skipped.is_same(record.record_identifier, record.payload_hash)
        if same is None:
            self._skipped.remember(record.record_identifier, record.payload_hash)
        elif not same:
            self._skipped_beside += 1
        return same is None

    def warn(self) -> None:
        """Log how many records share a key with another one: they are no outcome that anybody expects."""
        if self.not_unique:
            log.warning(DIFFERS, self.not_unique, "not sent (key_not_unique)", self._key, "an earlier record", "")
        if self._skipped_beside:
            why = ", and an earlier try or run has delivered one of them"
            log.warning(DIFFERS, self._skipped_beside, "skipped", self._key, "another record", why)
