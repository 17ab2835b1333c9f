"""Flat names for nested fields: each word says which names it takes, and puts them where the vendor wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_contacts.errors import InvalidRecordError


@dataclass(frozen=True, slots=True)
class Shorthand:
    """Flat names and what they become.

    :param names: flat name to the native field that it fills; one that ends in ``.*`` is a prefix.
    :param apply: replaces those that a record has by the native field.
        Raises ``InvalidRecordError`` where they make no sense.
    """

    names: Mapping[str, str]
    apply: Callable[[dict[str, Any]], None]


def join(native: str, *parts: str) -> Shorthand:
    """Return the word for texts that make up one, e.g. first and last name."""

    def apply(record: dict[str, Any]) -> None:
        given = {part: record.pop(part) for part in parts if part in record}
        wrong = [("wrong_type", part, "a text is wanted") for part, text in given.items() if not isinstance(text, str)]
        if wrong:
            raise InvalidRecordError(wrong)
        if given:
            record[native] = " ".join(given.values())

    return Shorthand(dict.fromkeys(parts, native), apply)


def wrap(native: str, members: Mapping[str, str | tuple[str, str]], *, many: bool = True) -> Shorthand:
    """Return the word for a flat value that becomes an object, e.g. a phone number and its type.

    :param members: flat name to the object's member, or to the member and its default. The first one is the value
        itself; without it the others say nothing, and are dropped.
    :param many: the native field is a list, of which the object is the only member.
    """
    (main, first, _), *others = [
        (name, *(member if isinstance(member, tuple) else (member, None))) for name, member in members.items()
    ]

    def apply(record: dict[str, Any]) -> None:
        whole = {first: record.pop(main, None)}
        for name, member, default in others:
            value = record.pop(name, default)
            if value is not None:
                whole[member] = value
        if whole[first] is not None:
            record[native] = [whole] if many else whole

    return Shorthand(dict.fromkeys(members, native), apply)


def prefix(native: str) -> Shorthand:
    """Return the word for members of an object by their own columns: ``native.member``."""
    start = f"{native}."

    def apply(record: dict[str, Any]) -> None:
        flat = [name for name in record if name.startswith(start)]
        if start in flat:
            raise InvalidRecordError([("unknown_field", start, f"the name of a member of {native} is missing")])
        if flat:
            record[native] = {name.removeprefix(start): record.pop(name) for name in flat}

    return Shorthand({f"{start}*": native}, apply)


def entries(native: str, key: str, value: str) -> Shorthand:
    """Return the word for a list of objects that may also be given as one object of keys and values."""

    def apply(record: dict[str, Any]) -> None:
        given = record.get(native)
        if isinstance(given, Mapping):
            del record[native]
            if given:
                record[native] = [{key: one, value: other} for one, other in given.items()]

    return Shorthand({}, apply)
