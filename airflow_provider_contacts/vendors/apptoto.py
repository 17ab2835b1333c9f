"""Apptoto: contacts of an address book.

Marks: SEED, stated on the page of this very request (apidocs.apptoto.com/reference/v1eventstest, whose address says
events and whose content is contacts); FOUND, stated elsewhere, which is named; INFERRED, deduced; UNKNOWN, not seen.

- Envelope, fields, Basic authentication, "contacts created" as the answer: SEED. An unknown name in ``address_book``
  creates that book: SEED, so a name is looked up first and its id is sent.
- Host and path: FOUND (the same page, another capture). Login is the account's email, password the API key: FOUND
  (apptoto.com/apptoto-manual/article/connecting-apptoto-to-your-data/api-keys/).
- ``GET /v1/address_books`` and its shape, 200 as the only success, ids as integers, ``normalized`` beside ``number``,
  100 requests a minute, batches of some 20 (larger ones ended in 502, which leaves doubt): FOUND (repository
  UOSAN/message_automation, src/apptoto.py, there for events and contacts).
- That ``external_id`` is echoed: INFERRED, so contacts are also told by order, name, number and address.
- UNKNOWN: error bodies, the maximum, whether a batch is taken whole, what both forms of a field do (refused here), what
  a second POST with one ``external_id`` does (never done unless asked for).

Read back, each record is looked up by its external id, which every record has that we send.

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
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Required

from pydantic import ConfigDict, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import InvalidRecordError, UnreadableError
from airflow_provider_contacts.vendor_kit import reads
from airflow_provider_contacts.vendor_kit.auth import login_and_password
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.destinations import by_name, in_records, made_id, path
from airflow_provider_contacts.vendor_kit.fields import Email, Flag, not_beside
from airflow_provider_contacts.vendor_kit.forms import INTEGER, DestinationForm, Setting
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_list, as_mapping, fold_phone, fold_text
from airflow_provider_contacts.vendor_kit.matching import Content, by, identified, in_order, matched
from airflow_provider_contacts.vendor_kit.reads import Page, Question, ReadBack, entries_of
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Limits, Payload, Replies, Request, Response, Vendor

ADDRESS_BOOKS = Request("GET", "/v1/address_books")
NOT_FOUND = 404


class PhoneNumber(TypedDict, total=False):
    """``type`` depends on the address book."""

    number: Required[StrictStr]
    is_mobile: Flag
    type: StrictStr
    is_primary: Flag


class EmailAddress(TypedDict, total=False):
    """``type`` depends on the address book."""

    address: Required[Email]
    type: StrictStr
    is_primary: Flag


@with_config(ConfigDict(extra="forbid"))
class Contact(TypedDict, total=False):
    """One member of ``contacts``; the address book comes from the destination alone."""

    name: StrictStr
    first_name: StrictStr
    last_name: StrictStr
    phone: StrictStr
    email: Email
    phone_numbers: Annotated[list[PhoneNumber], not_beside("phone")]
    email_addresses: Annotated[list[EmailAddress], not_beside("email")]
    external_id: StrictStr


def check_name(payload: Payload) -> None:
    """Refuse a contact that has neither a name nor both its parts."""
    if not payload.get("name") and not (payload.get("first_name") and payload.get("last_name")):
        raise InvalidRecordError([("missing_name", None, "name is wanted, or first_name and last_name")])


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return which records are among the contacts created: by external id, else by order, else by content.

    An answer names no errors, its list is just shorter; whether a missing contact exists all the same is not told. The
    content of more contacts than were sent proves nothing.
    """
    items = as_list(as_mapping(answer.json()).get("contacts"))
    if items is None:
        return Replies.doubt(len(sent), "contacts_missing")
    steps = (by(external_id), in_order(agree), by(content, agree=agree), by(name_of, agree=agree))
    return matched(sent, identified(items), steps[: 1 if len(items) > len(sent) else None], Doubt("not_returned"))


def external_id(contact: Content) -> str | None:
    """Return a contact's external id; a number stands for its text."""
    return as_id(contact.get("external_id"))


def agree(record: Content, contact: Content) -> bool:
    """Tell whether a contact that shows no external id can be this record; what else is not shown says nothing."""
    (name, *given), (shown_name, *shown) = content(record), content(contact)
    known = all(not one or not other or bool(one & other) for one, other in zip(given, shown, strict=True))
    return external_id(contact) is None and name == shown_name is not None and known


def name_of(contact: Content) -> str | None:
    """Return the name for comparing; ``name`` wins over its parts (SEED)."""
    return fold_text(contact.get("name")) or joined(contact) or None


def joined(contact: Content) -> str:
    """Return the parts of a name as one, for comparing."""
    return " ".join(filter(None, (fold_text(contact.get(part)) for part in ("first_name", "last_name"))))


def content(contact: Content) -> tuple[str | None, frozenset[str], frozenset[str]]:
    """Return name, the last digits of every number as written and as normalized by the vendor, and addresses."""
    numbers, addresses = (
        list(map(as_mapping, as_list(contact.get(many)) or ())) for many in ("phone_numbers", "email_addresses")
    )
    written = [contact.get("phone"), *(entry.get(part) for entry in numbers for part in ("number", "normalized"))]
    emails = (contact.get("email"), *(entry.get("address") for entry in addresses))
    tails = frozenset(fold_phone(one, tail=True) for one in written)
    return name_of(contact), tails - {""}, frozenset(map(fold_text, emails)) - {""}


def questions(sought: Sequence[Payload], _destination: object) -> list[Question]:
    """Return a look-up for each record whose external id is its own among them; its context is what was sent."""
    ids = list(map(external_id, sought))
    times = Counter(ids)
    return [
        Question(request=Request("GET", "/v1/contact", query=(("external_id", one),)), about=(index,), context=payload)
        for index, (one, payload) in enumerate(zip(ids, sought, strict=True))
        if one is not None and times[one] == 1
    ]


def read_contact(answer: Response, question: Question) -> Page:
    """Return the contact that was asked for, or none."""
    if answer.status == NOT_FOUND:
        if answer.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise UnreadableError("a page in HTML, which is not the vendor's word on a contact")
        return Page(contacts=())
    body = as_mapping(answer.json())
    shown = as_mapping(body["contact"]) if "contact" in body and "id" not in body else body
    id_ = as_id(shown.get("id"))
    asked = dict(question.request.query)["external_id"]
    if id_ is None or (shown.get("external_id") not in (None, "") and external_id(shown) != asked):
        raise UnreadableError("not the contact that was asked for")
    fields = fields_of(shown, question.context)
    # Whatever it is, ours may hide behind it.
    return Page(contacts=(reads.Contact(id=id_, fields=fields | {"external_id": asked}),), whole=False)


def fields_of(shown: Content, sent: Payload) -> Payload:
    """Return a contact in the words of the record that was sent: a name or its parts, one number or a list of them."""
    fields = names_of(shown, sent)
    if "address_book_id" in shown:
        fields["address_book_id"] = as_id(shown["address_book_id"])
    for lone, many, part, fold in (
        ("phone", "phone_numbers", "number", partial(fold_phone, tail=True)),
        ("email", "email_addresses", "address", fold_text),
    ):
        if many in shown:
            entries = entries_of([] if shown[many] is None else shown[many], part)
            texts = [entry[name] for entry in entries for name in (part, "normalized") if entry.get(name)]
            fields[many] = [{part: one["normalized"], **one} if "normalized" in one else one for one in entries]
            # Of several, the one that can be what was sent.
            same = (text for text in texts if fold(text) == fold(sent.get(lone)))
            fields[lone] = next(same, next(iter(texts), None))
        elif lone in shown:
            fields[lone] = shown[lone]
    return fields


def names_of(shown: Content, sent: Payload) -> Payload:
    """Return the name as it was sent: ``name`` wins over its parts (SEED), which may come back as one name."""
    whole, parts, names = fold_text(shown.get("name")), joined(shown), ("first_name", "last_name")
    if not whole and not parts:
        raise UnreadableError("a contact without a name")
    if "name" in sent:
        return {"name": shown["name"] if whole else parts}
    came_as_one = not parts and whole == fold_text(f"{sent.get('first_name')} {sent.get('last_name')}")
    return {name: (sent if came_as_one else shown).get(name) for name in names}


VENDOR = Vendor(
    name="apptoto",
    title="Apptoto",
    docs_url="https://apidocs.apptoto.com/reference/v1eventstest",
    base_url=lambda _account: "https://api.apptoto.com",
    auth=login_and_password("Account email", "API key", example="owner@company.example"),
    destination=DestinationForm(
        settings=(
            Setting("address_book_id", "Address book ID", "The address book that the contacts go into", kind=INTEGER),
            Setting(
                "address_book",
                "Address book name",
                "Its name instead of its ID. It must exist, and is looked up before anything is sent",
            ),
        ),
        exactly_one=("address_book_id", "address_book"),
        object_key="address_book_id",
    ),
    contract=RecordContract(record=Contact, coherent=check_name),
    # In any minute at most 4 + 60 * 1.6 = 100 requests. Few in flight: the gateway was seen to give up under load.
    limits=Limits(batch_size=20, max_in_flight=4, requests_per_second=1.6, burst=4),
    request_path=path("/v1/contacts"),
    envelope=(b'{"contacts":[', b"]}"),
    destination_fields=in_records("address_book_id"),
    generated=made_id("external_id"),
    read=read,
    check=lambda _destination: ADDRESS_BOOKS,
    lookup=by_name(
        "Apptoto address book",
        ADDRESS_BOOKS,
        "address_books",
        name_key="address_book",
        id_key="address_book_id",
        read_id=as_count,
    ),
    read_back=ReadBack(
        questions=questions,
        read=read_contact,
        # Shown or filled in with every contact, so that none that is found can count as absence.
        identity=("external_id",),
        absent_statuses=frozenset({NOT_FOUND}),
        most_requests=2_500,
    ),
)
