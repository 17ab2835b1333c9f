"""One contact at Intermezzo: its shape, and the numbers that are taken.

Source: docs.intermezzo.ai/api-reference/core/create-multiple-contacts-in-bulk (SEED: fields; FOUND: what is required).
"""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.simulator.checks import is_email, is_phone
from airflow_provider_contacts.simulator.knobs import Settings

FIELDS = frozenset({"name", "email", "phone", "roles"})
Problem = tuple[tuple[str | int, ...], str, str]
"""Where, in words, and as a machine's word."""


def contact_problems(index: int, contact: Any, knobs: Settings) -> list[Problem]:
    """Return what FastAPI would find in the shape of one contact."""
    at = ("body", index)
    if not isinstance(contact, dict):
        return [(at, "Input should be a valid dictionary", "model_attributes_type")]
    problems: list[Problem] = []
    if "name" not in contact:
        problems.append(((*at, "name"), "Field required", "missing"))
    elif not isinstance(contact["name"], str):
        problems.append(((*at, "name"), "Input should be a valid string", "string_type"))
    if contact.get("email") is not None and not is_email(contact["email"]):
        problems.append(((*at, "email"), "value is not a valid email address", "value_error"))
    roles = contact.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        problems.append(((*at, "roles"), "Input should be a valid list", "list_type"))
    if "phone" in contact and not (contact["phone"] is None and knobs["null_phone"]):
        problems.extend(_phone_problems((*at, "phone"), contact["phone"]))
    if knobs["unknown_fields"] == "refuse":
        extra = sorted(contact.keys() - FIELDS)
        problems.extend(((*at, name), "Extra inputs are not permitted", "extra_forbidden") for name in extra)
    return problems


def is_taken(number: str, phones: str) -> bool:
    """Tell whether a number is one that the server takes: any, plausible ones, or of these the German ones."""
    return phones == "any" or (is_phone(number) and (phones == "plausible" or number.startswith(("+49", "0"))))


def _phone_problems(at: tuple[str | int, ...], phone: Any) -> list[Problem]:
    if not isinstance(phone, dict):
        return [(at, "Input should be a valid dictionary", "model_attributes_type")]
    problems: list[Problem] = []
    if not isinstance(phone.get("phoneNumber"), str):
        problems.append(((*at, "phoneNumber"), "Input should be a valid string", "string_type"))
    if phone.get("phoneType") != "mobile":
        problems.append(((*at, "phoneType"), "Input should be 'mobile'", "enum"))
    return problems
