"""Knobs: what can be set, how it is written, and the settings of one vendor."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_contacts.simulator.triggers import trigger

Kind = Literal["trigger", "duration", "rate", "patterns", "choice", "integer", "number", "boolean", "text"]


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting.

    :param default: as text, the way a command line would give it.
    :param meaning: one line, with the mark of the fact that it stands for where there is one.
    :param choices: the only values, for ``choice``.
    """

    name: str
    kind: Kind
    default: str
    meaning: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    count: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """Records whose field, at any depth, has a value in which the expression is found."""

    field: str
    expression: re.Pattern[str]

    def hits(self, value: Any) -> bool:
        """Tell whether any text or number under the field's name is hit."""
        if isinstance(value, dict):
            return any(self._hit_below(item) if name == self.field else self.hits(item) for name, item in value.items())
        return isinstance(value, list) and any(self.hits(item) for item in value)

    def _hit_below(self, value: Any) -> bool:
        if isinstance(value, (dict, list)):
            return any(self._hit_below(item) for item in (value.values() if isinstance(value, dict) else value))
        return value is not None and self.expression.search(str(value)) is not None


def duration(text: str) -> tuple[float, float]:
    """Read ``80ms``, ``1.5s`` or ``20ms-200ms`` as the least and the most, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)?(?:-(\d+(?:\.\d+)?)(ms|s)?)?", text)
    if not match:
        raise ValueError("a duration such as 80ms, 1.5s or 20ms-200ms is wanted")
    scale = {"ms": 0.001, "s": 1.0, None: 1.0}
    low = float(match[1]) * scale[match[2] or (match[4] if match[3] else None)]
    high = float(match[3]) * scale[match[4]] if match[3] else low
    return low, max(low, high)


def rate(text: str) -> Rate | None:
    """Read ``60/min``, ``2/s`` or ``none``."""
    if text in {"none", ""}:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)/(s|min|h)", text)
    if not match or not float(match[1]):
        raise ValueError("a rate such as 2/s, 60/min or 1000/h, or none, is wanted")
    return Rate(float(match[1]), {"s": 1.0, "min": 60.0, "h": 3600.0}[match[2]])


def patterns(value: Any) -> tuple[Pattern, ...]:
    """Read ``field~regex``, a JSON list of them, or nothing."""
    if isinstance(value, str):
        given = json.loads(value) if value.startswith("[") else [value] if value else []
    else:
        given = list(value)
    read = []
    for text in given:
        field, sign, expression = str(text).partition("~")
        if not sign or not field:
            raise ValueError("field~regex, or a JSON list of such texts, is wanted")
        try:
            read.append(Pattern(field, re.compile(expression)))
        except re.error as error:
            raise ValueError(f"the regular expression after ~ is broken: {error}") from None
    return tuple(read)


def boolean(text: str) -> bool:
    """Read ``true`` or ``false``."""
    if text.lower() not in {"true", "false"}:
        raise ValueError("true or false is wanted")
    return text.lower() == "true"


def _choice(text: str, knob: Knob) -> str:
    if text not in knob.choices:
        raise ValueError(f"one of {', '.join(knob.choices)} is wanted")
    return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "duration": duration,
    "rate": rate,
    "integer": int,
    "number": float,
    "boolean": boolean,
    "text": str,
}


def read(knob: Knob, value: Any, seed: str) -> Any:
    """Return the value as the code uses it.

    :raises ValueError: with what is wanted; never with what was given.
    """
    if knob.kind == "trigger":
        return trigger(value, seed)
    if knob.kind == "patterns":
        return patterns(value)
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    if knob.kind == "choice":
        return _choice(text, knob)
    try:
        return _READERS[knob.kind](text)
    except ValueError as error:
        wanted = {"integer": "a whole number is wanted", "number": "a number is wanted"}
        raise ValueError(wanted.get(knob.kind, str(error))) from None


class Settings:
    """The knobs of one vendor, or of one kind of its requests, with their present values.

    :param seed: mixed with each knob's name, so that every fault has its own repeatable chance.
    """

    def __init__(self, knobs: Sequence[Knob], seed: str) -> None:
        self.knobs = {knob.name: knob for knob in knobs}
        self._seed = seed
        self._values: dict[str, Any] = {}
        self._shown: dict[str, Any] = {}
        self.restore()

    def __getitem__(self, name: str) -> Any:
        """Return a knob's value as the code uses it."""
        return self._values[name]

    def read(self, name: str, value: Any) -> Any:
        """Return what ``value`` would be, without setting it.

        :raises KeyError: for an unknown knob.
        :raises ValueError: for a value that the knob does not take.
        """
        return read(self.knobs[name], value, f"{self._seed}.{name}")

    def set(self, name: str, value: Any) -> None:
        """Set one knob; see :meth:`read` for what it raises."""
        self._values[name] = self.read(name, value)
        self._shown[name] = value

    def restore(self) -> None:
        """Set every knob to its default."""
        for knob in self.knobs.values():
            self.set(knob.name, knob.default)

    def triggers(self) -> dict[str, Any]:
        """Return the triggers that can fire at all, by name."""
        return {
            name: self._values[name]
            for name, knob in self.knobs.items()
            if knob.kind == "trigger" and str(self._values[name]) not in {"never", "0", "next:0"}
        }

    def shown(self) -> dict[str, Any]:
        """Return every value as it was set, with what is left of a ``next``."""
        return {
            name: str(self._values[name]) if knob.kind == "trigger" else self._shown[name]
            for name, knob in self.knobs.items()
        }
