"""One contact at Dex: what is refused, what is kept, what is shown.

Source: guidev3.getdex.com/api-reference/reference/contacts/create-contacts (SEED: fields and the 21 that come back);
that values come back as explicit nulls and LinkedIn as a handle is FOUND in clients.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.simulator.checks import Date, Uuid, shape

SHOWN = (
    "id", "full_name", "first_name", "last_name", "job_title", "company", "description", "legacy_location", "website",
    "image_url", "starred", "is_archived", "birthday", "linkedin", "twitter", "facebook", "instagram", "frequency",
    "source", "created_at", "updated_at",
)  # fmt: skip
TEXTS = (
    "full_name", "first_name", "last_name", "description", "job_title", "company", "education", "website",
    "legacy_location", "image_url", "frequency", "linkedin", "twitter", "facebook", "instagram", "telegram", "tiktok",
    "youtube", "source",
)  # fmt: skip
LISTS = (
    "contact_emails", "contact_phone_numbers", "groups_contacts", "tags_contacts", "custom_fields", "related_contacts",
    "legacy_contact_addresses",
)  # fmt: skip


_FLAGS = dict.fromkeys(("starred", "never_keep_in_touch"), bool)
_ROWS = dict.fromkeys(LISTS, list[dict[str, Any]])
CONTACT = shape({}, {"id": Uuid, "birthday": Date, **dict.fromkeys(TEXTS, str), **_ROWS, **_FLAGS})


def full_view(contact: dict[str, Any], id_: str, moment: str, *, handle: bool) -> dict[str, Any]:
    """Return a contact as it is kept: every field that was sent, and the 21, absent ones as null."""
    view = dict.fromkeys(SHOWN) | contact
    view |= {"id": id_, "created_at": moment, "updated_at": moment, "is_archived": False}
    made = f"{contact.get('first_name', '')} {contact.get('last_name', '')}".strip()
    view["full_name"] = contact.get("full_name") or made or None
    view["starred"] = contact.get("starred", False)
    view.setdefault("contact_emails", [])
    view.setdefault("contact_phone_numbers", [])
    if handle and contact.get("linkedin"):
        view["linkedin"] = contact["linkedin"].rstrip("/").rpartition("/")[2]
    return view


def short_view(view: dict[str, Any]) -> dict[str, Any]:
    """Return the 21 fields that a create answers."""
    return {name: view[name] for name in SHOWN}


def emails_of(view: dict[str, Any]) -> list[str]:
    """Return a contact's emails in lower case."""
    return [str(row["email"]).lower() for row in view["contact_emails"] if row.get("email")]


def matches(view: dict[str, Any], where: dict[str, Any]) -> bool:
    """Tell whether a contact passes the known filters; unknown ones pass everything."""
    if "in" in where and view["id"] not in where["in"]:
        return False
    if "has_name" in where and bool(view["full_name"]) is not bool(where["has_name"]):
        return False
    created = where.get("has_created_at") or {}
    # Texts of one form and zone sort as the moments do.
    return bool((created.get("gte") or "") <= view["created_at"] <= (created.get("lte") or "9"))
