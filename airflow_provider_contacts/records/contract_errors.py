"""The reasons of a contract, in the codes that all vendors share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

# Types of pydantic's own errors to the codes that all vendors share; a type of ours is its own code.
CODES = {
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "string_too_long": "too_long",
    "too_long": "too_long",
    "string_too_short": "too_short",
    "too_short": "too_short",
    "literal_error": "not_allowed",
    "enum": "not_allowed",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
    "string_pattern_mismatch": "invalid_format",
    "string_unicode": "invalid_text",
    "value_error": "invalid_value",
    "assertion_error": "invalid_value",
}
WRONG_TYPE_ENDINGS = ("_type", "_parsing", "_from_float", "_attributes_type", "_parsing_size")


def reasons(error: ValidationError) -> list[tuple[str, str | None, str | None]]:
    """Return pydantic's findings as ``(code, field, message)``, never with a value."""
    found: list[tuple[str, str | None, str | None]] = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        kind = one["type"]
        code = CODES.get(kind) or ("wrong_type" if kind.endswith(WRONG_TYPE_ENDINGS) else kind)
        found.append((code, ".".join(str(part) for part in one["loc"]) or None, one["msg"]))
    return found
