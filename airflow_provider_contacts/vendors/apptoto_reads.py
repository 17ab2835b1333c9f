"""Apptoto, read back: each record is looked up by its external id, which every record has that we send.

Marks as in the vendor's file.

- ``GET /v1/contact?external_id=…`` (singular) gives one bare contact, and something other than 200 where there is none:
  FOUND (repository UOSAN/message_automation, which then creates; the singular path for one object is the proper one on
  the events page, apidocs.apptoto.com/reference/v1events).
- That the something is 404: INFERRED. Any other status is a look-up that failed, which never means absent. Nor does a
  404 with a page in HTML, which a proxy or a web server says of the address.
- An external id should be unique in the whole account: SEED. It is scoped by the address book: FOUND for the update
  (apidocs.apptoto.com/reference/v1contacts-1). So a contact of another book with this id is like the record without
  being it, and what hides behind it is not told: the record stays in doubt.
- The contact's fields: FOUND as for the answer to a create request. The echo of the external id: INFERRED; a contact
  that does not show it is taken for the one that was asked for, and its content must agree all the same.

What it can prove: that a record is there, and, if 404 means absent, that it is not. What it cannot: that a record is
absent whose external id another contact has, or anything about two records that were given one external id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.json_values import as_id, as_list, as_mapping, as_text, fold_text, phone_tail
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response


def questions(sought: Sequence[Payload], destination: Destination) -> list[Question]:  # noqa: ARG001  # the signature is the word's
    """Return a look-up for each record whose external id is its own among them; its context is what was sent."""
    ids = [as_id(payload.get("external_id")) for payload in sought]
    times = Counter(ids)
    return [
        Question(request=Request("GET", "/v1/contact", query=(("external_id", one),)), about=(index,), context=payload)
        for index, (one, payload) in enumerate(zip(ids, sought, strict=True))
        if one is not None and times[one] == 1
    ]


def read(answer: Response, question: Question) -> Page:
    """Return the contact that was asked for, or none.

    :raises UnreadableError: for a contact with another external id, and for what is no contact.
    """
    if answer.status == HTTPStatus.NOT_FOUND:
        if answer.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise UnreadableError("a page in HTML, which is not the vendor's word on a contact")
        return Page(contacts=())
    body = as_mapping(answer.json())
    shown = as_mapping(body["contact"]) if "contact" in body and "id" not in body else body
    id_ = as_id(shown.get("id"))
    asked = dict(question.request.query)["external_id"]
    external = shown.get("external_id")
    if id_ is None or (external is not None and external != "" and as_id(external) != asked):
        raise UnreadableError("not the contact that was asked for")
    fields = fields_of(shown, question.context)
    # Whatever it is, ours may hide behind it.
    return Page(contacts=(Contact(id=id_, fields=fields | {"external_id": asked}),), whole=False)


def fields_of(shown: Mapping[str, Any], sent: Payload) -> Payload:
    """Return a contact in the words of the record that was sent: a name or its parts, one number or a list of them."""
    fields = names_of(shown, sent)
    if "address_book_id" in shown:
        fields["address_book_id"] = as_id(shown["address_book_id"])
    for one, many, part, fold in (
        ("phone", "phone_numbers", "number", phone_tail),
        ("email", "email_addresses", "address", fold_text),
    ):
        if many in shown:
            entries = entries_of(shown[many])
            texts = [
                entry[member] for entry in entries for member in (part, "normalized") if as_text(entry.get(member))
            ]
            fields[many] = [
                {part: entry["normalized"], **entry} if "normalized" in entry else entry for entry in entries
            ]
            # Of several, the one that can be what was sent.
            fields[one] = next((text for text in texts if fold(text) == fold(sent.get(one))), next(iter(texts), None))
        elif one in shown:
            fields[one] = shown[one]
    return fields


def names_of(shown: Mapping[str, Any], sent: Payload) -> Payload:
    """Return the name as it was sent: ``name`` wins over its parts (SEED), which may come back as one name."""
    whole, parts = fold_text(shown.get("name")), [shown.get("first_name"), shown.get("last_name")]
    joined = " ".join(filter(None, map(fold_text, parts)))
    if not whole and not joined:
        raise UnreadableError("a contact without a name")
    if "name" in sent:
        return {"name": shown["name"] if whole else joined}
    names = ("first_name", "last_name")
    if not joined and whole == fold_text(f"{sent.get('first_name')} {sent.get('last_name')}"):
        return {name: sent.get(name) for name in names}
    return dict(zip(names, parts, strict=True))


def entries_of(value: Any) -> list[dict[str, Any]]:
    """Return a list of objects; nothing is an empty one."""
    entries = [] if value is None else as_list(value)
    if entries is None or not all(isinstance(entry, dict) for entry in entries):
        raise UnreadableError("no list of numbers or addresses")
    return entries


READ_BACK = ReadBack(
    questions=questions,
    read=read,
    # Shown or filled in with every contact, so that none that is found can count as absence.
    identity=("external_id",),
    absent_statuses=frozenset({HTTPStatus.NOT_FOUND}),
    most_requests=2_500,
)
