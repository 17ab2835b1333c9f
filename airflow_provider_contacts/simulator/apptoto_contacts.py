"""One contact at Apptoto: what is refused, and what is shown of it.

Source: apidocs.apptoto.com/reference/v1eventstest (SEED: fields and rules); the fields of a shown contact, and that
numbers are normalised by the account's country, are FOUND in a client and in the events page.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.simulator.checks import first_problem, rows, shape

PHONE_COUNTRIES = {"US": ("1", 10), "GB": ("44", 10), "DE": ("49", 11), "PT": ("351", 9)}
"""Country to its calling code and the usual count of national digits."""


TEXTS = ("address_book", "name", "first_name", "last_name", "phone", "email", "external_id")
ROWS = {"phone_numbers": rows(shape({"number": str}, {})), "email_addresses": rows(shape({"address": str}, {}))}
CONTACT = shape({}, {"address_book_id": int, **dict.fromkeys(TEXTS, str), **ROWS})


def contact_fault(contact: Any, *, both_phones: bool) -> str:
    """Return the first thing that is wrong with a contact, empty if nothing is."""
    if fault := first_problem(CONTACT, contact):
        return fault
    if contact.keys().isdisjoint({"address_book", "address_book_id"}):
        return "needs address_book or address_book_id"
    if not contact.get("name") and not (contact.get("first_name") and contact.get("last_name")):
        return "needs name, or first_name and last_name"
    return "" if both_phones or not {"phone", "phone_numbers"} <= contact.keys() else "phone and phone_numbers given"


def normalised(number: str, country: str) -> str | None:
    """Return a number as E.164, national ones by the country; ``None`` for what cannot be one."""
    code, length = PHONE_COUNTRIES[country]
    plain = "".join(filter(str.isdigit, number))
    if number.strip().startswith("+"):
        return f"+{plain}" if plain else None
    national = plain.removeprefix("0")
    if len(national) == length + len(code) and national.startswith(code):
        return f"+{national}"
    return f"+{code}{national}" if 0 < len(national) <= length else None


def shown(contact: dict[str, Any], id_: int, book: int, country: str) -> dict[str, Any]:
    """Return a new contact as the vendor shows it."""
    full = contact.get("name") or f"{contact.get('first_name', '')} {contact.get('last_name', '')}".strip()
    view: dict[str, Any] = {
        "id": id_,
        "name": full,
        "address_book_id": book,
        "phone_numbers": _phones(contact, country),
    }
    return view | {"email_addresses": _emails(contact), "external_id": contact.get("external_id")}


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
    rows = _rows(contact, "phone_numbers", "phone", "number")
    return [{**row, "normalized": normalised(row["number"], country)} for row in rows]


def _emails(contact: dict[str, Any]) -> list[dict[str, Any]]:
    return _rows(contact, "email_addresses", "email", "address")


def _rows(contact: dict[str, Any], many: str, one: str, key: str) -> list[dict[str, Any]]:
    first = [{key: contact[one], "is_primary": True}] if contact.get(one) else []
    return [*first, *contact.get(many, [])]
