"""Batch numbers: an execution's token and a count, in one number of the table."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

BITS = 24
FIRST_TOKEN = 2**38  # the first of twice as many, all of ten hexadecimal digits
DIGITS = 10
MOST = 1 << BITS
NOTES = MOST - 2**20  # from here on the counts name batches of records that were never sent; those below are requests
NOTE = "n"  # the mark of such a batch in its name


def draw_token() -> str:
    """Return a random token."""
    return f"{FIRST_TOKEN + secrets.randbelow(FIRST_TOKEN):0{DIGITS}x}"


def is_token(text: str) -> bool:
    """Tell whether a text can be a token."""
    try:
        return len(text) == DIGITS and FIRST_TOKEN <= int(text, 16) < 2 * FIRST_TOKEN
    except ValueError:
        return False


def number_of(batch_id: str | None) -> int | None:
    """Return the number of a batch named ``token.count``; ``None`` for a name of another kind."""
    token, _, count = (batch_id or "").partition(".")
    count = count.removeprefix(NOTE)
    if not (is_token(token) and count.isascii() and count.isdecimal() and int(count) < MOST):
        return None
    return int(token, 16) << BITS | int(count)


def name_of(number: int | None) -> str | None:
    """Return the name of a batch."""
    if number is None:
        return None
    count = number & (MOST - 1)
    return f"{number >> BITS:0{DIGITS}x}.{NOTE if count >= NOTES else ''}{count}"


class BatchNumbers:
    """The numbers of one execution, which names its requests ``token.count`` and counts without end.

    When the counts of its token are used up, another token is drawn.
    """

    def __init__(self, token: str) -> None:
        self._tokens = [token]
        self._notes = self._note_numbers()

    def number_of(self, batch_id: str | None) -> int | None:
        """Return the number of a batch of any execution; ``None`` for a name of another kind."""
        token, _, count = (batch_id or "").partition(".")
        if token != self._tokens[0] or not (count.isascii() and count.isdecimal()):
            return number_of(batch_id)
        place, rest = divmod(int(count), NOTES)
        while place >= len(self._tokens):
            self._tokens.append(draw_token())
        return int(self._tokens[place], 16) << BITS | rest

    def name_of(self, number: int | None) -> str | None:
        """Return the name of a batch of any execution."""
        name = name_of(number)
        if len(self._tokens) == 1 or name is None or name[:DIGITS] not in self._tokens[1:]:
            return name
        place = self._tokens.index(name[:DIGITS])
        return f"{self._tokens[0]}.{place * NOTES + int(name[DIGITS + 1 :].removeprefix(NOTE))}"

    def note_number(self) -> int:
        """Return the number of a new batch of records that are never sent."""
        return next(self._notes)

    def _note_numbers(self) -> Iterator[int]:
        token = self._tokens[0]
        while True:
            first = int(token, 16) << BITS
            yield from range(first + NOTES, first + MOST)
            token = draw_token()
