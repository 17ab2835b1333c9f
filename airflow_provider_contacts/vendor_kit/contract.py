"""What a record must look like before it is sent: its fields, their check, and the reasons of a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Required, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.vendor_kit.fields import reader_of_text
from airflow_provider_contacts.vendor_kit.shorthands import Shorthand

# The codes that all vendors share, with pydantic's error types; a type of ours is its own code.
KINDS = {
    "missing_field": ("missing",),
    "unknown_field": ("extra_forbidden",),
    "too_long": ("string_too_long", "too_long"),
    "too_short": ("string_too_short", "too_short"),
    "not_allowed": ("literal_error", "enum"),
    "out_of_range": ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"),
    "invalid_format": ("string_pattern_mismatch",),
    "invalid_text": ("string_unicode",),
    "invalid_value": ("value_error", "assertion_error"),
}
CODES = {kind: code for code, kinds in KINDS.items() for kind in kinds}
TIGHT = frozenset({str, bool, int, NoneType})
WRONG_TYPE_ENDINGS = ("_type", "_parsing", "_from_float", "_attributes_type", "_parsing_size")


class Field(NamedTuple):
    """Describe one field of the vendor, as its annotation has it.

    :param required: whether a record must have it.
    :param nullable: whether the vendor documents null: a given ``None`` is sent as null, and left out elsewhere.
    :param nested: whether it is an object or a list; its JSON text is accepted, too.
    :param tight: whether it holds only texts, truth values and whole numbers, at every depth.
    :param from_text: reads the text of a source without types, such as CSV; ``None``: a text stays a text.
    """

    required: bool
    nullable: bool
    nested: bool
    tight: bool
    from_text: Callable[[str], Any] | None


@dataclass(frozen=True, kw_only=True)
class RecordContract:
    """Describe what a record must look like before it is sent.

    :param record: ``TypedDict`` of the vendor's fields, decorated with ``with_config(ConfigDict(extra="forbid"))``.
        Its annotations check values, and change none.
    :param flat: flat names for nested fields. A record with a flat name and its field is ``invalid``.
    :param coherent: takes a checked record; raises ``InvalidRecordError`` if its fields contradict each other.
    """

    record: type[object]
    flat: tuple[Shorthand, ...] = ()
    coherent: Callable[[dict[str, Any]], None] | None = None

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """Return the native fields by name."""
        return {name: field_of(hint) for name, hint in get_type_hints(self.record, include_extras=True).items()}

    @cached_property
    def shorthands(self) -> Mapping[str, str]:
        """Return the flat names, each with the field that it fills; one that ends in ``.*`` is a prefix."""
        return {name: native for one in self.flat for name, native in one.names.items()}

    @cached_property
    def loose(self) -> frozenset[str]:
        """Return the fields that are not tight."""
        return frozenset(name for name, field in self.fields.items() if not field.tight)

    @cached_property
    def _validator(self) -> Any:
        # Building it takes milliseconds, and is left to the first record.
        return TypeAdapter(self.record).validator

    def check(self, shaped: dict[str, Any]) -> dict[str, Any]:
        """Return a record of native fields as it is sent.

        :raises InvalidRecordError: with every reason.
        """
        try:
            payload: dict[str, Any] = self._validator.validate_python(shaped)
        except ValidationError as error:
            raise InvalidRecordError(reasons(error)) from None
        if self.coherent is not None:
            self.coherent(payload)
        return payload


def field_of(hint: Any) -> Field:
    """Return what an annotation says of its field."""
    required = get_origin(hint) is Required
    kinds = members_of(get_args(hint)[0] if required else hint)
    nested = any(is_typeddict(kind) or (get_origin(kind) or kind) in {dict, list} for kind in kinds)
    return Field(required, NoneType in kinds, nested, is_tight(hint), reader_of_text(kinds - {NoneType}))


def is_tight(hint: Any, inside: frozenset[Any] = frozenset()) -> bool:
    """Tell whether an annotation lets pass texts, truth values and whole numbers alone, at every depth."""
    origin = get_origin(hint)
    if origin is Literal:
        return all(type(one) in TIGHT for one in get_args(hint))
    if origin in {Annotated, Required}:
        return is_tight(get_args(hint)[0], inside)
    if origin in {Union, UnionType, list, dict}:
        return all(is_tight(one, inside) for one in get_args(hint))
    if is_typeddict(hint) and hint not in inside:
        members = get_type_hints(hint, include_extras=True).values()
        return all(is_tight(one, inside | {hint}) for one in members)
    return hint in TIGHT


def members_of(hint: Any) -> set[Any]:
    """Return the types of a union, or the one type, without their annotations."""
    origin = get_origin(hint)
    if origin is Annotated:
        return members_of(get_args(hint)[0])
    if origin in {Union, UnionType}:
        return set().union(*map(members_of, get_args(hint)))
    return {hint}


def reasons(error: ValidationError) -> list[tuple[str, str | None, str | None]]:
    """Return pydantic's findings as ``(code, field, message)``, never with a value."""

    def code_of(kind: str) -> str:
        return CODES.get(kind) or ("wrong_type" if kind.endswith(WRONG_TYPE_ENDINGS) else kind)

    return [
        (code_of(one["type"]), ".".join(map(str, one["loc"])) or None, one["msg"])
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
