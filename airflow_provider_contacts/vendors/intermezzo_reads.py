"""Intermezzo, read back: the contacts of the organization, by content.

Marks as in the vendor's file.

- ``GET /organizations/{id}``: FOUND (docs.intermezzo.ai/api-reference/generated/core/get-org), in an older capture,
  whose sample has no contacts. That today's has them is INFERRED from the next.
- ``GET /organizations`` gives a bare array of organizations with ``contacts``, each of ``name``, ``id``, ``email``,
  ``phone`` and ``roles``: FOUND (docs.intermezzo.ai/api-reference/core/list-orgs). It is asked where the first read
  shows no contacts. Those inside its ``workSites`` belong to the sites; ours join the organization (SEED).
- Lists in pages, ``page``, ``size`` up to 100, ``items`` and ``meta.has_next``: FOUND (docs.intermezzo.ai/pagination).
  Both forms of a list are read.
- A list of contacts at an address of its own: UNKNOWN, so none is asked for.
- Older captures write names with underscores (FOUND): both spellings of the phone's are read.

What it can prove: that a contact with this content is there, and that none is. What it cannot: no time of creation is
shown, so a contact with the very content that somebody else created, before or since, passes for ours, unless another
row holds it. Counts are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_list, as_mapping
from airflow_provider_contacts.vendor_kit.vendor import (
    Contact,
    Destination,
    Page,
    Payload,
    Question,
    ReadBack,
    Request,
    Response,
)

ALL = "/organizations"
LARGEST_PAGE = "100"
PHONE = (("phoneNumber", "phone_number"), ("phoneType", "phone_type"))


def read_back(organization_path: Callable[[Destination], str]) -> ReadBack:
    """Return how contacts are looked for.

    :param organization_path: of the organization of a destination.
    """
    return ReadBack(
        questions=lambda sought, destination: questions(sought, organization_path(destination)),
        read=read,
        identity=("email", "phone.phoneNumber"),
    )


def questions(sought: Sequence[Payload], path: str) -> list[Question]:
    """Return the one question about all records; its context is the path, which no other request need have."""
    return [Question(request=Request("GET", path), about=tuple(range(len(sought))), context=path)]


def read(answer: Response, question: Question) -> Page:
    """Return the contacts of the organization, or the way to where they may be shown.

    :raises UnreadableError: where the organization, or the list of its contacts, is nowhere in the answer: that it has
        none must be said by an empty list.
    """
    body = answer.json()
    alone = question.request.path == question.context
    listed, more = (None, None) if alone and is_one(body) else organizations_of(body, question)
    found = [body] if listed is None else listed
    ours = [one for one in map(as_mapping, found) if is_ours(one, question.context, named=listed is not None)]
    if len(ours) > 1:
        raise UnreadableError("two organizations of one id")
    if ours and ours[0].get("contacts") is not None:
        return Page(contacts=contacts_of(ours[0]["contacts"]))
    if ours and alone:
        return Page(contacts=(), more=replace(question, request=list_request(1)))
    if ours or more is None:
        raise UnreadableError("the organization and its contacts are not shown")
    return Page(contacts=(), more=more)


def is_one(body: Any) -> bool:
    """Tell whether an answer is one organization, and no list of them."""
    return isinstance(body, dict) and "items" not in body


def organizations_of(body: Any, question: Question) -> tuple[list[Any], Question | None]:
    """Return a list of organizations, bare or in a page, and the question for the next page.

    :raises UnreadableError: for what is no list of objects.
    """
    items, more = body, None
    if isinstance(body, dict):
        items, meta = body.get("items"), as_mapping(body.get("meta"))
        if meta.get("has_next") is True:
            page = as_count(meta.get("page"))
            if page is None or (question.request.query and ("page", str(page)) not in question.request.query):
                raise UnreadableError("another page than the one that was asked for")
            more = replace(question, request=list_request(page + 1))
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UnreadableError("no list of organizations")
    return items, more


def list_request(page: int) -> Request:
    """Return the read of a page of all organizations."""
    return Request("GET", ALL, query=(("page", str(page)), ("size", LARGEST_PAGE)))


def is_ours(organization: Mapping[str, Any], path: str, *, named: bool) -> bool:
    """Tell whether an organization is the one of a path.

    :param named: it must say so; one that was asked for by its id may be silent.
    """
    shown = as_id(organization.get("id"))
    if shown is None:
        return not named and "id" not in organization and "contacts" in organization
    return path.endswith(f"/{quote(shown, safe='', errors='replace')}")


def contacts_of(value: Any) -> tuple[Contact, ...]:
    """Return the contacts of a list, bare or in a page that is the only one.

    :raises UnreadableError: for what is no list, not all of it, or holds something else than contacts.
    """
    items = value
    if isinstance(value, dict):
        items = value.get("items")
        if as_mapping(value.get("meta")).get("has_next") is not False:
            raise UnreadableError("not all contacts are shown")
    if not isinstance(items, list):
        raise UnreadableError("no list of contacts")
    contacts = tuple(map(contact_of, items))
    if len({contact.id for contact in contacts}) < len(contacts):
        raise UnreadableError("two contacts of one id")
    return contacts


def contact_of(value: Any) -> Contact:
    """Return a contact as it would be sent."""
    shown = as_mapping(value)
    id_ = as_id(shown.get("id"))
    if id_ is None or not isinstance(shown.get("name"), str):
        raise UnreadableError("a contact without an id or a name")
    fields: Payload = {name: shown[name] for name in ("name", "email") if name in shown}
    if "phone" in shown:
        fields["phone"] = phone_of(shown["phone"])
    if "roles" in shown:
        fields["roles"] = [] if shown["roles"] is None else as_list(shown["roles"])
        if fields["roles"] is None:
            raise UnreadableError("roles that are no list")
    return Contact(id=id_, fields=fields)


def phone_of(value: Any) -> Any:
    """Return a phone as it would be sent; a lone text is its number."""
    if value is None:
        return None
    if isinstance(value, str):
        return {"phoneNumber": value}
    if not isinstance(value, dict):
        raise UnreadableError("a phone that is none")
    # The spelling of today wins over the older one.
    return {new: value[name] for new, old in PHONE for name in (old, new) if name in value}
