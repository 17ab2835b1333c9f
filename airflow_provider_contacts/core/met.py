"""Which records this execution has met: of one key the first counts."""

from __future__ import annotations

MOST_MET = 100_000
"""Records that are remembered, the newest ones: some megabytes, whatever the size of the push."""


class Met:
    """Keys and the payloads under which they were met first, as digests of 8 bytes each; the oldest is forgotten first.

    :param most: how many are remembered.
    """

    def __init__(self, most: int = MOST_MET) -> None:
        self._most = most
        # Python's own digests of texts: 8 bytes, keyed at random in each process.
        self._payloads: dict[int, int] = {}

    def remember(self, identifier: str, payload_hash: str) -> None:
        """Remember a key and the payload of its first record."""
        self._payloads[hash(identifier)] = hash(payload_hash)
        if len(self._payloads) > self._most:
            del self._payloads[next(iter(self._payloads))]

    def is_same(self, identifier: str, payload_hash: str) -> bool | None:
        """Tell whether the first record of a key had this payload; ``None`` where the key has not been met."""
        found = self._payloads.get(hash(identifier))
        return None if found is None else found == hash(payload_hash)
