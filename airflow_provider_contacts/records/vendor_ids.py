"""Which contact ids the vendor has given to records of this push: one id for two records proves neither."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Collection, Sequence

from airflow_provider_contacts.records.record_state import Holder
from airflow_provider_contacts.vendor_kit.vendor import Created, Doubt, Reply

MOST_IDS = 10_000
"""Ids that are remembered, the newest ones: some megabytes at most, whatever the size of the push."""

TWICE = "id_twice"
"""Error code of a record whose id another record was given, too."""

UUID_LENGTH = 36
UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class VendorIds:
    """The ids given last, and the records that hold them.

    :param most: how many are remembered; the oldest is forgotten first.
    """

    def __init__(self, most: int = MOST_IDS) -> None:
        self._most = most
        self._held: OrderedDict[str, str] = OrderedDict()

    def give(self, record_id: str, record_identifier: str) -> None:
        """Remember that a record is this contact."""
        self._remember(key_of(record_id), record_identifier)

    def _remember(self, key: str, record_identifier: str) -> None:
        self._held[key] = record_identifier
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def sift(self, replies: Sequence[Reply], identifiers: Sequence[str]) -> Sequence[Reply]:
        """Return the replies of one answer, with doubt in place of a creation whose id another record holds.

        The record that was answered first keeps its id: its outcome is written, and may have been yielded. Two of one
        answer have no first.
        """
        ids = [key_of(reply.id) if type(reply) is Created and reply.id is not None else None for reply in replies]
        given = [one for one in ids if one is not None]
        # Nearly always none, and counting them takes longer than all the rest.
        twice = {one for one, times in Counter(given).items() if times > 1} if len(set(given)) < len(given) else set()
        sifted = list(replies)
        for index, (one, identifier) in enumerate(zip(ids, identifiers, strict=True)):
            reply = replies[index]
            if one is None or not isinstance(reply, Created) or reply.id is None:
                continue
            if one in twice or self._held.get(one, identifier) != identifier:
                sifted[index] = Doubt(TWICE, "the vendor gave the same id to another record of this push", reply.id)
            else:
                self._remember(one, identifier)
        return sifted

    def holders(self, record_ids: Collection[str]) -> list[Holder]:
        """Return the records that hold one of these contacts."""
        found = ((one, self._held.get(key_of(one))) for one in record_ids)
        return [Holder(one, identifier) for one, identifier in found if identifier is not None]


def key_of(record_id: str) -> str:
    """Return what two writings of one id share: the case of a UUID says nothing, that of another id may."""
    return record_id.lower() if len(record_id) == UUID_LENGTH and UUID.fullmatch(record_id) else record_id


def spellings(record_id: str) -> set[str]:
    """Return an id, and where it is a UUID the two ways in which another one writes it."""
    is_uuid = UUID.fullmatch(record_id) is not None
    return {record_id, record_id.lower(), record_id.upper()} if is_uuid else {record_id}
