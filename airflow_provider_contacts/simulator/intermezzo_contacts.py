"""One contact at Intermezzo: its shape, and the numbers that are taken.

Source: docs.intermezzo.ai/api-reference/core/create-multiple-contacts-in-bulk (SEED: fields; FOUND: what is required).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_contacts.simulator.checks import EMAIL_PROBLEM, fastapi_problem, is_email, is_phone
from airflow_provider_contacts.simulator.knobs import Settings
from airflow_provider_contacts.simulator.messages import Place, Problem

FIELDS = frozenset({"name", "email", "phone", "roles"})


def contact_problems(index: int, contact: Any, knobs: Settings) -> Iterator[Problem]:
    """Yield what FastAPI finds in the shape of one contact."""
    at = ("body", index)
    if not isinstance(contact, dict):
        yield fastapi_problem(at, dict)
        return
    if "name" not in contact:
        yield (*at, "name"), "Field required", "missing"
    elif not isinstance(contact["name"], str):
        yield fastapi_problem((*at, "name"), str)
    if contact.get("email") is not None and not is_email(contact["email"]):
        yield (*at, "email"), *EMAIL_PROBLEM
    roles = contact.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        yield fastapi_problem((*at, "roles"), list)
    if "phone" in contact and not (contact["phone"] is None and knobs["null_phone"]):
        yield from _phone_problems((*at, "phone"), contact["phone"])
    for name in sorted(contact.keys() - FIELDS) if knobs["unknown_fields"] == "refuse" else ():
        yield (*at, name), "Extra inputs are not permitted", "extra_forbidden"


def is_taken(number: str, phones: str) -> bool:
    """Tell whether a number is one that the server takes: any, plausible ones, or of these the German ones."""
    return phones == "any" or (is_phone(number) and (phones == "plausible" or number.startswith(("+49", "0"))))


def _phone_problems(at: Place, phone: Any) -> Iterator[Problem]:
    if not isinstance(phone, dict):
        yield fastapi_problem(at, dict)
        return
    if not isinstance(phone.get("phoneNumber"), str):
        yield fastapi_problem((*at, "phoneNumber"), str)
    if phone.get("phoneType") != "mobile":
        yield (*at, "phoneType"), "Input should be 'mobile'", "enum"
