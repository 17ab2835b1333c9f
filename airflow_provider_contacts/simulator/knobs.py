"""Knobs: what can be set, how it is written, and the settings of one vendor."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_contacts.simulator.messages import parsed

Kind = Literal[
    "trigger", "duration", "rate", "patterns", "places", "texts", "choice",
    "integer", "number", "boolean", "status", "header", "text",
]  # fmt: skip

FORMS = "never, always, a chance such as 0.02, nth:3 or nth:3,7, every:10, next:5"  # of a trigger

_COUNTED = re.compile(r"nth:(?P<nth>\d{1,9}(?:,\d{1,9})*)|every:(?P<every>\d{1,9})|next:(?P<next>\d{1,9})")
_AMOUNT = r"(\d{1,9}(?:\.\d+)?)"
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, None: 1.0}


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting."""

    name: str
    kind: Kind
    default: str
    meaning: str
    # the only values, for choice; for places, the only words after =, the first by default
    choices: tuple[str, ...] = ()
    form: tuple[str, str] = (r".+", "a text")  # of a place's id: an expression, and in words


def choice(name: str, meaning: str, default: str, *others: str) -> Knob:
    """Return a knob with these values alone."""
    return Knob(name, "choice", default, meaning, (default, *others))


@dataclass(slots=True)
class Trigger:
    """One fault's condition; ``numbers`` count the requests of one kind to one vendor, since start or reset."""

    text: str
    chance: float = 0.0
    random: random.Random | None = None
    numbers: frozenset[int] = frozenset()
    every: int = 0
    left: int = 0

    def fires(self, number: int) -> bool:
        """Tell whether request ``number`` is hit; asked once a request."""
        if self.left:
            self.left -= 1
            return True
        if self.numbers:
            return number in self.numbers
        if self.every:
            return number % self.every == 0
        return self.random.random() < self.chance if self.random else self.chance == 1

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


@dataclass(frozen=True, slots=True)
class Pattern:
    """Records whose field, at any depth, has a value in which the expression is found."""

    field: str
    expression: re.Pattern[str]

    def hits(self, value: Any, *, below: bool = False) -> bool:
        """Tell whether any text or number under the field's name is hit; ``below`` it, every name counts."""
        if isinstance(value, dict):
            return any(self.hits(item, below=below or name == self.field) for name, item in value.items())
        if isinstance(value, list):
            return any(self.hits(item, below=below) for item in value)
        return below and value is not None and self.expression.search(str(value)) is not None


def duration(text: str) -> tuple[float, float]:
    """Read ``80ms``, ``1.5s`` or ``20ms-200ms`` as the least and the most, in seconds."""
    match = re.fullmatch(rf"{_AMOUNT}(ms|s)?(?:-{_AMOUNT}(ms|s)?)?", text)
    if not match:
        raise ValueError("a duration such as 80ms, 1.5s or 20ms-200ms is wanted")
    low = float(match[1]) * _SECONDS[match[2] or (match[4] if match[3] else None)]
    high = float(match[3]) * _SECONDS[match[4]] if match[3] else low
    return low, max(low, high)


def rate(text: str) -> tuple[float, float] | None:
    """Read ``60/min``, ``2/s`` or ``none`` as so many requests in so many seconds."""
    if text in {"none", ""}:
        return None
    match = re.fullmatch(rf"{_AMOUNT}/(s|min|h)", text)
    if not match or not float(match[1]):
        raise ValueError("a rate such as 2/s, 60/min or 1000/h, or none, is wanted")
    return float(match[1]), _SECONDS[match[2]]


def _texts(value: Any, wanted: str, separator: str | None = ",") -> list[str]:
    """Read texts from one with separators between them, from JSON text, or from a list; nothing is none."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = parsed(value.encode())
        except ValueError:
            value = [""]
    elif isinstance(value, str):
        value = [part.strip() for part in value.split(separator)] if separator else [value]
        value = value if any(value) else []
    if not isinstance(value, (list, tuple)) or not all(isinstance(part, str) and part for part in value):
        raise ValueError(f"{wanted} is wanted")
    return list(value)


def patterns(value: Any) -> tuple[Pattern, ...]:
    """Read ``field~regex``, a list of them, or nothing."""
    wanted = "field~regex, or a JSON list of such texts,"
    found = [text.partition("~") for text in _texts(value, wanted, separator=None)]
    if not all(field and tilde for field, tilde, _ in found):
        raise ValueError(f"{wanted} is wanted")
    try:
        return tuple(Pattern(field, re.compile(text)) for field, _, text in found)
    except (re.error, OverflowError) as error:
        raise ValueError(f"the regular expression after ~ is broken: {error}") from None


def _places(value: Any, knob: Knob) -> dict[str, str]:
    """Read ``id=name`` and ``id``, with commas or as a list, as ids to names."""
    form = f"=word or id, word one of {', '.join(knob.choices)}" if knob.choices else f"=name or id, id {knob.form[1]}"
    wanted = f"id{form}, with commas between several or as a list,"
    found: dict[str, str] = {}
    for text in _texts(value, wanted):
        id_, _, name = text.partition("=")
        if not re.fullmatch(knob.form[0], id_) or (knob.choices and name not in {"", *knob.choices}):
            raise ValueError(f"{wanted} is wanted")
        if id_ in found:
            raise ValueError("one id stands there twice")
        found[id_] = name or (knob.choices or (id_,))[0]
    return found


# Kinds of knobs that are one expression, what makes a value of it, and what is wanted.
_PLAIN: Mapping[str, tuple[str, Callable[[str], Any], str]] = {
    "integer": (r"[0-9]{1,15}", int, "a whole number from 0"),
    "number": (r"(?=\.?\d)\d{0,15}\.?\d{0,15}(e[-+]?\d\d?)?", float, "a number from 0"),
    "boolean": (r"(?i)true|false", lambda text: text.lower() == "true", "true or false"),
    "status": (r"[2-5][0-9]{2}", int, "an HTTP status from 200 to 599"),
    "header": (r"[ -~\xa0-\xff]*", str, "printable Latin-1 text, which goes into a header,"),
    "text": (r"(?s).*", str, "a text"),
}


def _read(knob: Knob, value: Any, seed: str) -> Any:
    special: dict[str, Callable[[], Any]] = {
        "trigger": lambda: trigger(value, seed),
        "patterns": lambda: patterns(value),
        "places": lambda: _places(value, knob),
        "texts": lambda: _texts(value, "a text, or a list of texts,"),
    }
    if knob.kind in special:
        return special[knob.kind]()
    if not isinstance(value, (str, int, float, type(None))):
        raise ValueError("a text, a number or a boolean is wanted")  # noqa: TRY004  # wrong for this knob, like any other
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    if knob.choices and text not in knob.choices:
        raise ValueError(f"one of {', '.join(knob.choices)} is wanted")
    if knob.kind == "choice":
        return text
    if knob.kind in {"duration", "rate"}:
        return duration(text) if knob.kind == "duration" else rate(text)
    expression, make, wanted = _PLAIN[knob.kind]
    if not re.fullmatch(expression, text):
        raise ValueError(f"{wanted} is wanted")
    return make(text)


class Settings:
    """The knobs of one vendor by name: ``name``, or ``read.name`` and ``token.name`` for the faults of those requests.

    Each name and the seed make a chance of their own. ``armed`` are the triggers that may fire.
    """

    def __init__(self, knobs: Mapping[str, Knob], seed: str) -> None:
        self.knobs = knobs
        self.seed = seed
        self._values: dict[str, Any] = {}
        self._set: dict[str, Any] = {}
        self.armed: dict[str, Trigger] = {}
        self.restore()

    def __getitem__(self, name: str) -> Any:
        """Return a knob's value as the code uses it."""
        return self._values[name]

    def read(self, name: str, value: Any) -> Any:
        """Return what ``value`` would be, or raise ``ValueError`` with what is wanted, never with what was given."""
        return _read(self.knobs[name], value, f"{self.seed}.{name}")

    def set(self, name: str, value: Any) -> None:
        """Set one knob; raises as :meth:`read`."""
        found = self._values[name] = self.read(name, value)
        self._set[name] = value
        self.armed.pop(name, None)
        if isinstance(found, Trigger) and (found.left or found.numbers or found.every or found.chance):
            self.armed[name] = found

    def restore(self) -> None:
        """Set every knob to its default."""
        for name, knob in self.knobs.items():
            self.set(name, knob.default)

    def shown(self) -> dict[str, Any]:
        """Return every knob's value as it was set, with what is left of a ``next``."""
        return self._set | {name: str(value) for name, value in self._values.items() if isinstance(value, Trigger)}
