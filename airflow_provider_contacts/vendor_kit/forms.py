"""What people fill in: a connection's own fields and extra keys, and the destination."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean

LONGEST_TIMEOUT = 600
"""Seconds that a request and its answer may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Hold the values of a connection. Extra keys are parsed, with their defaults; one that has neither is absent."""

    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Kind(NamedTuple):
    """Describe one type of a setting's values.

    :param parse: takes a value or its text, returns the value in this type; ``None`` if it has another one.
    :param json_type: the type in Airflow's connection form.
    :param wrong: completes "is …" in the error about another value, such as "no whole number".
    """

    parse: Callable[[Any], Any]
    json_type: str
    wrong: str


def as_text(value: Any) -> str | None:
    """Return a text; a whole number is accepted, since ids are often typed as one."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def as_integer(value: Any) -> int | None:
    """Return a whole number, also from text."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: Any) -> float | None:
    """Return a finite number, also from text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_boolean(value: Any) -> bool | None:
    """Return a truth value, also from its usual words."""
    word = str(value).strip().lower()
    return True if word in {"true", "1", "yes", "on"} else False if word in {"false", "0", "no", "off"} else None


def as_boolean_or_path(value: Any) -> bool | str | None:
    """Return a truth value or a path."""
    found = as_boolean(value)
    return found if found is not None or not isinstance(value, str) else value.strip()


TEXT = Kind(as_text, "string", "no text")
"""Any text; a whole number is accepted."""
INTEGER = Kind(as_integer, "integer", "no whole number")
"""A whole number, also as text."""
NUMBER = Kind(as_number, "number", "no number")
"""A finite number, also as text."""
BOOLEAN = Kind(as_boolean, "boolean", "neither true nor false")
"""``true`` or ``false``, also as ``1``, ``0``, ``yes``, ``no``, ``on`` or ``off``."""
BOOLEAN_OR_PATH = Kind(as_boolean_or_path, "string", "neither true, nor false, nor a path")
"""A truth value or a path."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Describe one key of a connection's extra, or of a destination: how it is read, and how the form shows it.

    :param name: the key.
    :param label: its name in the form.
    :param description: for the form, which adds type, bounds and default.
    :param kind: the type of its values.
    :param default: the value of an absent key. A key of a destination has none.
    :param absent: in words, what an absent key without a default means.
    :param allowed: the only texts that are allowed; empty: all.
    :param between: the smallest and the largest number.
    :param secret: whether the form hides it. Airflow masks it in logs only if its name says so: proxy, secret, token …
    """

    name: str
    label: str
    description: str
    kind: Kind = TEXT
    _: KW_ONLY
    default: bool | float | str | None = None
    absent: str = "none"
    allowed: tuple[str, ...] = ()
    between: tuple[float, float] | None = None
    secret: bool = False

    @property
    def bounds(self) -> str:
        """The smallest and the largest number as they follow a noun; empty without."""
        return " from {:g} to {:g}".format(*self.between) if self.between else ""

    @property
    def otherwise(self) -> str:
        """What counts where the key is absent, in the words of a form."""
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        return self.absent if self.default is None else str(self.default)

    def parse(self, value: Any, where: str) -> Any:
        """Return a value in its declared type.

        :raises ConfigError: if it has another one, or is not allowed. The text names the key and not the value.
        """
        parsed = self.kind.parse(value)
        if parsed is None or (self.between and not self.between[0] <= parsed <= self.between[1]):
            raise ConfigError(f"{self.name!r} in {where} is {self.kind.wrong}{self.bounds}")
        if self.allowed and parsed not in self.allowed:
            nearest = did_you_mean(parsed, self.allowed)
            raise ConfigError(f"{self.name!r} in {where} is one of {list(self.allowed)}{nearest}")
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationForm:
    """Describe the keys that say where in the vendor's account the contacts go.

    :param settings: the keys.
    :param required: keys that must be given.
    :param exactly_one: keys of which one must be given, and not two.
    :param object_key: the key whose value, after a look-up, is the ``destination_object``; ``None``: there is none.
    """

    settings: tuple[Setting, ...] = ()
    required: tuple[str, ...] = ()
    exactly_one: tuple[str, ...] = ()
    object_key: str | None = None


def one_key(name: str, label: str, description: str, *, required: bool = True) -> DestinationForm:
    """Return the form of a destination with one key, which is an id."""
    required_keys = (name,) if required else ()
    return DestinationForm(settings=(Setting(name, label, description),), required=required_keys, object_key=name)
