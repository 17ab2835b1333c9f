"""Batch numbers: an execution's token and a count, in one number of the table."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import lru_cache

from airflow_provider_contacts.errors import LedgerError

BITS = 24
FIRST_TOKEN = 2**38  # the first of twice as many, all of ten hexadecimal digits
DIGITS = 10
MOST = 1 << BITS
NOTES = MOST - 2**20
"""The first of the counts that name batches of records that were never sent; those below are the requests'."""


def draw_token() -> str:
    """Return a random token."""
    return f"{FIRST_TOKEN + secrets.randbelow(FIRST_TOKEN):0{DIGITS}x}"


def is_token(text: str) -> bool:
    """Tell whether a text can be a token."""
    try:
        return len(text) == DIGITS and FIRST_TOKEN <= int(text, 16) < 2 * FIRST_TOKEN
    except ValueError:
        return False


@lru_cache(maxsize=1024)  # asked for each record of a batch
def number_of(batch_id: str | None) -> int | None:
    """Return the number of a batch that the engine names ``token.count``; ``None`` for a name that is none of ours.

    :raises LedgerError: when an execution has used up its counts; the next one goes on with a token of its own.
    """
    token, _, count = (batch_id or "").partition(".")
    if not (is_token(token) and count.isascii() and count.isdecimal()):
        return None
    if int(count) >= MOST:
        raise LedgerError("this execution has sent as many requests as it can number; the next try goes on")
    return int(token, 16) << BITS | int(count)


def name_of(number: int | None) -> str | None:
    """Return the engine's name of a batch."""
    return None if number is None else f"{number >> BITS:0{DIGITS}x}.{number & (MOST - 1)}"


def note_numbers(token: str) -> Iterator[int]:
    """Yield the batches of one execution's records that are never sent.

    :raises LedgerError: when all are used up.
    """
    first = int(token, 16) << BITS
    yield from range(first + NOTES, first + MOST)
    raise LedgerError("this execution has written as many notes as it can number; the next try goes on")
