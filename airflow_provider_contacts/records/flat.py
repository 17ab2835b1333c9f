"""A contract's check without its objects: from dictionaries to dictionaries, at a quarter of the cost.

A model builds an object for every record and every nested one, which the dump then takes apart again. The same checks
over plain dictionaries need neither. Whatever is not checked in the same words has no flat form, and goes the long way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaError, SchemaValidator

if TYPE_CHECKING:
    from pydantic import BaseModel

# Of pydantic's own words, those whose flat form is known to say the same.
SAME = frozenset(
    {"any", "bool", "dict", "float", "int", "list", "literal", "none", "nullable", "str"}
    | {"function-after", "function-before"}
)
MODELS = frozenset({"cls", "config", "custom_init", "metadata", "ref", "root_model", "schema", "type"})
# Anything else that a contract is configured to do (strip texts, for one) is done by its objects alone.
CONFIG = frozenset({"extra_fields_behavior", "title"})
FIELDS = frozenset({"computed_fields", "fields", "metadata", "model_name", "type"})
FIELD = frozenset({"metadata", "schema", "serialization_alias", "type", "validation_alias"})


class NoFlatFormError(Exception):
    """A contract says something that only its objects can check."""


@lru_cache(maxsize=64)
def flat_validator(model: type[BaseModel]) -> SchemaValidator | None:
    """Return the model's checks over dictionaries, or ``None`` where there is no flat form.

    Of a record that it takes, it returns what the dump of the model would be, given that this is made of plain values.
    What it refuses has to be asked again of the model, whose reasons are shown.

    :param model: a contract; one with checks of a whole record has no flat form.
    """
    model.model_rebuild()
    try:
        return SchemaValidator(flat(model.__pydantic_core_schema__))
    except (NoFlatFormError, SchemaError):
        return None


def flat(schema: Any) -> Any:
    """Return a schema without models."""
    kind = schema["type"]
    if kind == "model":
        return flat_model(schema)
    if kind not in SAME or "serialization" in schema or "ref" in schema:
        raise NoFlatFormError
    inner = {name: value for name, value in schema.items() if name != "metadata"}
    for name in ("schema", "items_schema", "keys_schema", "values_schema"):
        if name in inner:
            inner[name] = flat(inner[name])
    return inner


def flat_model(schema: Any) -> Any:
    """Return the dictionary that a model is: a member for every field, and none for those left out."""
    fields = schema["schema"]
    known = schema.keys() <= MODELS and fields["type"] == "model-fields" and fields.keys() <= FIELDS
    config = schema.get("config", {})
    strict = config.keys() <= CONFIG and config.get("extra_fields_behavior") == "forbid"
    if not known or not strict or schema.get("custom_init") or schema.get("root_model") or fields["computed_fields"]:
        raise NoFlatFormError
    return {
        "type": "typed-dict",
        "fields": dict(flat_field(name, field) for name, field in fields["fields"].items()),
        "extra_behavior": "forbid",
    }


def flat_field(name: str, field: Any) -> tuple[str, Any]:
    """Return one member, under the name that it is sent by."""
    inner, alias = field["schema"], field.get("validation_alias", name)
    if not field.keys() <= FIELD or alias != field.get("serialization_alias", name):
        raise NoFlatFormError
    optional = inner["type"] == "default"
    if optional:
        # A field that was left out is not sent: its default never shows.
        inner = inner["schema"]
    return alias, {"type": "typed-dict-field", "schema": flat(inner), "required": not optional}
