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
    """A connection's values, extras parsed to their types, defaults filled in; what has neither is left out."""

    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Kind(NamedTuple):
    """One type of a setting's values.

    :param parse: returns a value of this type, also from text; ``None`` for anything else.
    :param json_type: in the form.
    :param wrong: what a value is that cannot be parsed, for the error text.
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
INTEGER = Kind(as_integer, "integer", "no whole number")
NUMBER = Kind(as_number, "number", "no number")
BOOLEAN = Kind(as_boolean, "boolean", "neither true nor false")
BOOLEAN_OR_PATH = Kind(as_boolean_or_path, "string", "neither true, nor false, nor a path")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the connection's extra, or of the destination: how it is read, and how a form shows it.

    :param description: without type, bounds and default, which the form adds.
    :param default: what counts where the key is absent; the form shows it. A destination's key has none.
    :param absent: in words, what counts where the key is absent and there is no default.
    :param allowed: the only values, for texts.
    :param between: the smallest and the largest number.
    :param secret: a password field of the form. Airflow masks it in logs where its name tells: proxy, secret, token …
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
        """Return a value in its declared type; the error names the key, not the value."""
        parsed = self.kind.parse(value)
        if parsed is None or (self.between and not self.between[0] <= parsed <= self.between[1]):
            raise ConfigError(f"{self.name!r} in {where} is {self.kind.wrong}{self.bounds}")
        if self.allowed and parsed not in self.allowed:
            nearest = did_you_mean(parsed, self.allowed)
            raise ConfigError(f"{self.name!r} in {where} is one of {list(self.allowed)}{nearest}")
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationForm:
    """Which keys say where in the vendor's account the contacts go.

    :param exactly_one: of these keys, one and only one.
    :param object_key: the key whose (resolved) value is the ``destination_object``; ``None``: the vendor has none.
    """

    settings: tuple[Setting, ...] = ()
    required: tuple[str, ...] = ()
    exactly_one: tuple[str, ...] = ()
    object_key: str | None = None


def one_key(name: str, label: str, description: str, *, required: bool = True) -> DestinationForm:
    """Return the destination of a vendor that knows one key, which is an id."""
    required_keys = (name,) if required else ()
    return DestinationForm(settings=(Setting(name, label, description),), required=required_keys, object_key=name)
