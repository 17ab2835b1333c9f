"""The name of a forgotten record: a keyed digest in place of its identifier.

Who has the key can still tell whether a person is among the forgotten, as every later push must; without it, not even
a list of all addresses would. Every ``sync_id`` has a key of its own.
"""

from __future__ import annotations

import hmac
import re

PREFIX = "forgotten:"
LENGTH = len(PREFIX) + 64
FORGOTTEN = re.compile(PREFIX + "[0-9a-f]{64}")


def forgotten_as(key: str, identifier: str) -> str:
    """Return the name under which a record is kept once it is forgotten."""
    return PREFIX + hmac.digest(key.encode(), identifier.encode(), "sha256").hex()
