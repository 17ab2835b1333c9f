"""Batch numbers: an execution's token and a count, in one number of the table; a batch is named ``token.count``.

An execution counts without end: when the counts of its token are used up, it goes on with those of the next one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from itertools import count

BITS = 24
FIRST_TOKEN = 2**38  # the first of twice as many, all of ten hexadecimal digits
NEXT_TOKENS = 2**10  # that one execution may use up
MOST = 1 << BITS
NOTES = MOST - 2**20  # from here on the counts name batches of records that were never sent; those below are requests
NOTE = "n"  # the mark of such a batch in its name
NAME = re.compile(f"([4-7][0-9a-f]{{9}})\\.({NOTE}?)([0-9]+)")


def draw_token() -> str:
    """Return a random token."""
    return f"{FIRST_TOKEN + secrets.randbelow(FIRST_TOKEN - NEXT_TOKENS):x}"


def number_of(batch_id: str | None) -> int | None:
    """Return the number of a batch; ``None`` for a name of another kind."""
    name = NAME.fullmatch(batch_id or "")
    if name is None:
        return None
    token, note, counted = int(name[1], 16), name[2], int(name[3])
    further, rest = (0, counted) if note else divmod(counted, NOTES)
    return (token + further << BITS) + rest if further < NEXT_TOKENS else None


def name_of(number: int | None, token: str | None = None) -> str | None:
    """Return the name of a batch; ``token`` is that of the execution whose own names are wanted."""
    if number is None:
        return None
    found, rest = divmod(number, MOST)
    if rest >= NOTES:
        return f"{found:x}.{NOTE}{rest}"
    further = found - int(token, 16) if token else 0
    return f"{token}.{further * NOTES + rest}" if 0 < further < NEXT_TOKENS else f"{found:x}.{rest}"


def note_numbers(token: str) -> Iterator[int]:
    """Yield the numbers of batches of records that are never sent."""
    for counted in count():
        further, rest = divmod(counted, MOST - NOTES)
        yield (int(token, 16) + further << BITS) + NOTES + rest
