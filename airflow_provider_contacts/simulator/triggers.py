"""When a fault happens: by chance, at certain requests, or for the next few."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

FORMS = "never, always, a chance such as 0.02, nth:3 or nth:3,7, every:10, next:5"

_COUNTED = re.compile(r"nth:(?P<nth>\d{1,9}(?:,\d{1,9})*)|every:(?P<every>\d{1,9})|next:(?P<next>\d{1,9})")


@dataclass(slots=True)
class Trigger:
    """One fault's condition, asked once a request; ``chance`` counts where no other field is set.

    :param numbers: request numbers, from 1, of the same vendor and kind of request, since start or reset.
    :param left: how many of the next requests are still hit.
    """

    text: str
    chance: float = 0.0
    random: random.Random | None = None
    numbers: frozenset[int] = frozenset()
    every: int = 0
    left: int = 0

    def fires(self, number: int) -> bool:
        """Tell whether request ``number`` is hit, and remember that it was asked."""
        if self.left:
            self.left -= 1
            return True
        if self.numbers:
            return number in self.numbers
        if self.every:
            return number % self.every == 0
        return self.random.random() < self.chance if self.random else self.chance == 1

    @property
    def can_fire(self) -> bool:
        """Whether it hits any request at all."""
        return bool(self.left or self.numbers or self.every or self.chance)

    def __str__(self) -> str:
        """Return the condition as it stands now, with what is left of a ``next``."""
        return f"next:{self.left}" if self.text.startswith("next:") else self.text


def trigger(value: Any, seed: str) -> Trigger:
    """Read a trigger from text, a number or a boolean; equal seeds repeat exactly, different ones are independent."""
    words = {True: "always", False: "never"}
    text = words[value] if isinstance(value, bool) else str(value).strip()
    made = Trigger(text)
    if match := _COUNTED.fullmatch(text):
        made.numbers = frozenset(int(count) for count in (match["nth"] or "").split(",") if count)
        made.every, made.left = int(match["every"] or 0), int(match["next"] or 0)
        return made
    try:
        made.chance = {"never": 0.0, "always": 1.0}[text] if text in words.values() else float(text)
    except ValueError:
        made.chance = -1.0
    if not 0 <= made.chance <= 1:
        raise ValueError(f"one of {FORMS} is wanted")
    if 0 < made.chance < 1:  # there are a thousand triggers, and few of them roll dice
        made.random = random.Random(seed)  # noqa: S311  # repeatable faults, not cryptography
    return made
