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

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.destinations import path
from airflow_provider_contacts.vendor_kit.json_values import as_id, as_list, as_mapping
from airflow_provider_contacts.vendor_kit.reads import (
    Contact,
    Page,
    Question,
    ReadBack,
    contacts_of,
    ends_path,
    next_number,
)
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response

ORGANIZATION = path("/organizations/{organization_id}")
PHONE = (("phoneNumber", "phone_number"), ("phoneType", "phone_type"))


def questions(sought: Sequence[Payload], destination: Destination) -> list[Question]:
    """Return the one question about all records; its context is the organization's path."""
    one = ORGANIZATION(destination)
    return [Question(request=Request("GET", one), about=tuple(range(len(sought))), context=one)]


def read(answer: Response, question: Question) -> Page:
    """Return the contacts of the organization, or the way to where they may be shown.

    :raises UnreadableError: where the organization, or the list of its contacts, is nowhere in the answer: that it has
        none must be said by an empty list.
    """
    body, alone = answer.json(), question.request.path == question.context
    silent = alone and isinstance(body, dict) and "items" not in body
    organizations, number = ([body], None) if silent else listed(body, question.request)
    ours = [one for one in organizations if is_ours(one, question.context, silent=silent)]
    if len(ours) > 1:
        raise UnreadableError("two organizations of one id")
    if ours and ours[0].get("contacts") is not None:
        return Page(contacts=contacts_in(ours[0]["contacts"]))
    if ours and alone:
        number = 1
    elif ours or number is None:
        raise UnreadableError("the organization and its contacts are not shown")
    request = Request("GET", "/organizations", query=(("page", str(number)), ("size", "100")))
    return Page(contacts=(), more=replace(question, request=request))


def listed(body: Any, asked: Request) -> tuple[list[Mapping[str, Any]], int | None]:
    """Return a list of organizations, bare or in a page, and the number of the next page.

    :raises UnreadableError: for what is no list of objects.
    """
    items, number = body, None
    if isinstance(body, dict):
        items, number = body.get("items"), next_number(as_mapping(body.get("meta")), asked)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UnreadableError("no list of organizations")
    return items, number


def is_ours(organization: Mapping[str, Any], one: str, *, silent: bool) -> bool:
    """Tell whether an organization is the one of a path.

    :param silent: it was asked for by its id, and need not show it.
    """
    shown = as_id(organization.get("id"))
    if shown is None:
        return silent and "id" not in organization and "contacts" in organization
    return ends_path(one, shown)


def contacts_in(value: Any) -> tuple[Contact, ...]:
    """Return the contacts of a list, bare or in a page that is the only one."""
    if isinstance(value, dict):
        if as_mapping(value.get("meta")).get("has_next") is not False:
            raise UnreadableError("not all contacts are shown")
        value = value.get("items")
    return contacts_of(value, contact_of)


def contact_of(shown: Mapping[str, Any]) -> Contact:
    """Return a contact as it would be sent."""
    id_ = as_id(shown.get("id"))
    if id_ is None or not isinstance(shown.get("name"), str):
        raise UnreadableError("a contact without an id or a name")
    fields: Payload = {name: shown[name] for name in ("name", "email") if name in shown}
    if "phone" in shown:
        fields["phone"] = phone_of(shown["phone"])
    if "roles" in shown:
        fields["roles"] = as_list(shown["roles"] if shown["roles"] is not None else [])
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


READ_BACK = ReadBack(questions=questions, read=read, identity=("email", "phone.phoneNumber"))
