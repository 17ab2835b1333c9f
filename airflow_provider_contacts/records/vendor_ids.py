"""Which contact ids the vendor has given to records of this push: one id for two records proves neither."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from airflow_provider_contacts.records.record_state import Holder
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Replies, Reply

MOST_IDS = 10_000
"""Ids that are remembered, the newest ones: some megabytes at most, whatever the size of the push."""

TWICE = "id_twice"
"""Error code of a record whose id another record was given, too."""

UUID_LENGTH = 36
UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class VendorIds:
    """The ids given last, and the records that hold them; of very many the older half is forgotten."""

    def __init__(self, most: int = MOST_IDS) -> None:
        self._half = most // 2
        self._new: dict[str, str] = {}
        self._old: dict[str, str] = {}

    def give(self, record_id: str, record_identifier: str) -> None:
        """Remember that a record is this contact."""
        self._remember({key_of(record_id): record_identifier})

    def _remember(self, held: Mapping[str, str]) -> None:
        if len(self._new) >= self._half:
            self._new, self._old = {}, self._new
        self._new.update(held)

    def _holder(self, key: str) -> str | None:
        return self._new.get(key) or self._old.get(key)

    def sift(self, replies: Replies, identifiers: Sequence[str]) -> Replies:
        """Return the replies of one answer, with doubt in place of a creation whose id another record holds.

        The record that was answered first keeps its id: its outcome is written, and may have been yielded. Two of one
        answer have no first.
        """
        places = [place for place, one in enumerate(replies.ids) if one is not None]
        keys = keys_of([one for one in replies.ids if one is not None])
        held = {key: identifiers[place] for key, place in zip(keys, places, strict=True)}
        if len(held) == len(keys) and self._new.keys().isdisjoint(held) and self._old.keys().isdisjoint(held):
            self._remember(held)
            return replies
        times = Counter(keys)
        doubts: dict[int, Reply] = {}
        for key, place in zip(keys, places, strict=True):
            if times[key] > 1 or self._holder(key) not in {None, identifiers[place]}:
                text = "the vendor gave the same id to another record of this push"
                doubts[place] = Doubt(TWICE, text, replies.ids[place])
        pairs = zip(keys, places, strict=True)
        self._remember({key: identifiers[place] for key, place in pairs if place not in doubts})
        return but(replies, doubts)

    def holders(self, record_ids: Collection[str]) -> list[Holder]:
        """Return the records that hold one of these contacts."""
        found = ((one, self._holder(key_of(one))) for one in record_ids)
        return [Holder(one, identifier) for one, identifier in found if identifier is not None]


def but(replies: Replies, exceptions: Mapping[int, Reply]) -> Replies:
    """Return replies with other ones at some places."""
    if not exceptions:
        return replies
    ids = [None if place in exceptions else one for place, one in enumerate(replies.ids)]
    return Replies(ids, {**replies.exceptions, **exceptions})


def keys_of(record_ids: Sequence[str]) -> Sequence[str]:
    """Return the key of each id; see :func:`key_of`."""
    text = "".join(record_ids)
    return record_ids if text == text.lower() else [key_of(one) for one in record_ids]


def key_of(record_id: str) -> str:
    """Return what two writings of one id share: the case of a UUID says nothing, that of another id may."""
    return record_id.lower() if len(record_id) == UUID_LENGTH and UUID.fullmatch(record_id) else record_id


def spellings(record_id: str) -> set[str]:
    """Return an id, and where it is a UUID the two ways in which another one writes it."""
    is_uuid = UUID.fullmatch(record_id) is not None
    return {record_id, record_id.lower(), record_id.upper()} if is_uuid else {record_id}
