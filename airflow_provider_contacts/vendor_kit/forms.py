"""What people fill in: a connection's own fields and extra keys, and the destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A connection's values, extras parsed to their types, absent ones left out."""

    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the connection's extra, or of the destination.

    :param kind: the type it is parsed to; ``"bool_or_path"`` is ``verify``'s.
    :param allowed: the only values, for texts.
    :param default: what counts where the key is absent, if a form can show it: a switch, a choice.
    :param example: shown in the empty field.
    :param secret: masked in the connection form and in logs.
    """

    name: str
    label: str
    description: str
    kind: Literal["text", "integer", "number", "seconds", "boolean", "bool_or_path"] = "text"
    allowed: tuple[str, ...] = ()
    default: bool | str | None = None
    example: str = ""
    secret: bool = False


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
