"""Flat names for nested fields: which column names are accepted, and which field of the vendor each one fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_contacts.errors import InvalidRecordError


@dataclass(frozen=True, slots=True)
class Shorthand:
    """Describe some flat names, and the field that they fill.

    :param names: mapping of flat names to the vendor's field; a name that ends in ``.*`` is a prefix.
    :param apply: takes a record, and replaces its flat names by the field. Raises ``InvalidRecordError`` for
        values that cannot be joined.
    """

    names: Mapping[str, str]
    apply: Callable[[dict[str, Any]], None]


def join(native: str, *parts: str) -> Shorthand:
    """Return flat names whose texts are joined by a space, such as first and last name."""

    def apply(record: dict[str, Any]) -> None:
        given = {part: record.pop(part) for part in parts if part in record}
        wrong = [("wrong_type", part, "a text is wanted") for part, text in given.items() if not isinstance(text, str)]
        if wrong:
            raise InvalidRecordError(wrong)
        if given:
            record[native] = " ".join(given.values())

    return Shorthand(dict.fromkeys(parts, native), apply)


def wrap(native: str, members: Mapping[str, str | tuple[str, str]], *, many: bool = True) -> Shorthand:
    """Return flat names whose values become an object, such as a phone number and its type.

    :param native: the vendor's field.
    :param members: mapping of each flat name to a member of the object, or to the member and its default. The first one
        is the value itself; a record without it has no object.
    :param many: whether the field is a list, with the object as its only element.
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
    """Return the prefix for columns that are members of an object: ``native.member``."""
    start = f"{native}."

    def apply(record: dict[str, Any]) -> None:
        flat = [name for name in record if name.startswith(start)]
        if start in flat:
            raise InvalidRecordError([("unknown_field", start, f"the name of a member of {native} is missing")])
        if flat:
            record[native] = {name.removeprefix(start): record.pop(name) for name in flat}

    return Shorthand({f"{start}*": native}, apply)


def entries(native: str, key: str, value: str) -> Shorthand:
    """Return the rule for a list of pairs that may also be given as one object: ``{key: value}``."""

    def apply(record: dict[str, Any]) -> None:
        given = record.get(native)
        if isinstance(given, Mapping):
            del record[native]
            if given:
                record[native] = [{key: one, value: other} for one, other in given.items()]

    return Shorthand({}, apply)
