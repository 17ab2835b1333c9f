"""One contact at Apptoto: what is refused, and what is shown of it.

Source: apidocs.apptoto.com/reference/v1eventstest (SEED: fields and rules); the fields of a shown contact, and that
numbers are normalised by the account's country, are FOUND in a client and in the events page.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.simulator.checks import digits

PHONE_COUNTRIES = {"US": ("1", 10), "GB": ("44", 10), "DE": ("49", 11), "PT": ("351", 9)}
"""Country to its calling code and the usual count of national digits."""


def contact_fault(contact: Any, *, both_phones: bool) -> str:  # noqa: C901, PLR0911  # a list of rules
    """Return what is wrong with a contact, empty if nothing is."""
    if not isinstance(contact, dict):
        return "must be an object"
    if "address_book" not in contact and "address_book_id" not in contact:
        return "needs address_book or address_book_id"
    if "address_book_id" in contact and type(contact["address_book_id"]) is not int:
        return "address_book_id must be an integer"
    for name in ("address_book", "name", "first_name", "last_name", "phone", "email", "external_id"):
        if not isinstance(contact.get(name, ""), str):
            return f"{name} must be a string"
    if not contact.get("name") and not (contact.get("first_name") and contact.get("last_name")):
        return "needs name, or first_name and last_name"
    for name, key in (("phone_numbers", "number"), ("email_addresses", "address")):
        rows = contact.get(name, [])
        if not isinstance(rows, list):
            return f"{name} must be an array"
        if not all(isinstance(row, dict) and isinstance(row.get(key), str) for row in rows):
            return f"{name} must hold objects with {key}"
    if not both_phones and "phone" in contact and "phone_numbers" in contact:
        return "phone and phone_numbers given"
    return ""


def normalised(number: str, country: str) -> str | None:
    """Return a number as E.164, national ones by the country; ``None`` for what cannot be one."""
    code, length = PHONE_COUNTRIES[country]
    plain = digits(number)
    if number.strip().startswith("+"):
        return f"+{plain}" if plain else None
    national = plain.removeprefix("0")
    if len(national) == length + len(code) and national.startswith(code):
        return f"+{national}"
    return f"+{code}{national}" if 0 < len(national) <= length else None


def shown(contact: dict[str, Any], id_: int, book: int, country: str) -> dict[str, Any]:
    """Return a new contact as the vendor shows it."""
    full = contact.get("name") or f"{contact.get('first_name', '')} {contact.get('last_name', '')}".strip()
    view: dict[str, Any] = {"id": id_, "name": full, "address_book_id": book}
    view["phone_numbers"] = _phones(contact, country)
    view["email_addresses"] = _emails(contact)
    view["external_id"] = contact.get("external_id")
    return view


def patched(view: dict[str, Any], contact: dict[str, Any], country: str) -> dict[str, Any]:
    """Return a contact after an update: scalars patched, lists replaced where given (FOUND for PUT)."""
    new = dict(view)
    if contact.get("name") or contact.get("first_name"):
        new["name"] = shown(contact, 0, 0, country)["name"]
    if phones := _phones(contact, country):
        new["phone_numbers"] = phones
    if emails := _emails(contact):
        new["email_addresses"] = emails
    return new


def _phones(contact: dict[str, Any], country: str) -> list[dict[str, Any]]:
    rows = list(contact.get("phone_numbers", []))
    if contact.get("phone"):
        rows.insert(0, {"number": contact["phone"], "is_primary": True})
    return [{**row, "normalized": normalised(row["number"], country)} for row in rows]


def _emails(contact: dict[str, Any]) -> list[dict[str, Any]]:
    rows = list(contact.get("email_addresses", []))
    if contact.get("email"):
        rows.insert(0, {"address": contact["email"], "is_primary": True})
    return rows
