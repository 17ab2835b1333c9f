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
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Required

from pydantic import ConfigDict, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError, UnreadableError
from airflow_provider_contacts.nearest import did_you_mean
from airflow_provider_contacts.vendor_kit.auth import Credential, basic
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.fields import Email, Flag, not_beside
from airflow_provider_contacts.vendor_kit.json_values import (
    as_count,
    as_id,
    as_list,
    as_mapping,
    doubt_all,
    fold_phone,
    fold_text,
    pair_by,
)
from airflow_provider_contacts.vendor_kit.vendor import (
    Account,
    ConnectionForm,
    Created,
    Destination,
    DestinationForm,
    Doubt,
    Limits,
    Lookup,
    Payload,
    Replies,
    Request,
    Response,
    Setting,
    Vendor,
)
from airflow_provider_contacts.vendors.apptoto_reads import READ_BACK

BASE_URL = "https://api.apptoto.com"
ADDRESS_BOOKS = Request("GET", "/v1/address_books")
SHOWN_BOOKS = 20

LONGEST_COMPARED = 200
"""Characters of a book's name that is offered for one that was mistyped."""
# National and international spellings of one number agree in their last digits.
PHONE_TAIL = 7


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


def auth(account: Account) -> Credential:
    """Return the Basic header of the account's email and API key."""
    if not account.login or not account.password:
        raise ConfigError("an Apptoto connection needs a login, the account's email, and a password, its API key")
    if ":" in account.login:
        raise ConfigError("the login of an Apptoto connection must not hold a colon: Basic authentication cuts there")
    return basic(account.login, account.password)


def generated(payload: Payload, sync_id: str, record_identifier: str) -> Payload:
    """Return an ``external_id`` for a record without one, so that it can be found in answers and later."""
    if "external_id" in payload:
        return {}
    seed = f"{sync_id}\0{record_identifier}".encode("utf-8", "surrogatepass")
    return {"external_id": f"apc-{hashlib.sha256(seed).hexdigest()[:32]}"}


def lookup_request(destination: Destination) -> Request | None:
    """Return the read of all address books where one is given by name."""
    return ADDRESS_BOOKS if destination.get("address_book") else None


def read_address_books(answer: Response, destination: Destination) -> Destination:
    """Return the destination with the id of the book in place of its name, letter for letter.

    :raises ConfigError: if there is no such book, or more than one.
    :raises UnreadableError: if the answer is no list of address books.
    """
    books = as_list(as_mapping(answer.json()).get("address_books"))
    if books is None:
        raise UnreadableError("no list of address books")
    wanted = destination["address_book"]
    found = [book for book in map(as_mapping, books) if book.get("name") == wanted]
    if not found:
        there = sorted(book["name"] for book in map(as_mapping, books) if isinstance(book.get("name"), str))
        more = f", and {len(there) - SHOWN_BOOKS} more" if len(there) > SHOWN_BOOKS else ""
        raise ConfigError(
            f"there is no Apptoto address book {wanted!r} (sending that name would create one, so that a typo would "
            f"scatter contacts){did_you_mean(wanted, [name for name in there if len(name) <= LONGEST_COMPARED])}; "
            f"there are: {', '.join(map(repr, there[:SHOWN_BOOKS])) or 'none'}{more}"
        )
    if len(found) > 1:
        raise ConfigError(f"{len(found)} Apptoto address books are named {wanted!r}: give address_book_id instead")
    book_id = as_count(found[0].get("id"))
    if book_id is None:
        raise UnreadableError("the address book has no id")
    return {"address_book_id": book_id}


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return which records are among the contacts created: by external id, else by order, else by content.

    An answer names no errors, its list is just shorter; whether a missing contact exists all the same is not told.
    A contact without an id of its own proves nothing, nor does the content of an answer that shows more than was sent.
    """
    try:
        body = as_mapping(answer.json())
    except UnreadableError:
        return doubt_all(len(sent), "unreadable")
    items = as_list(body.get("contacts"))
    if items is None:
        return doubt_all(len(sent), "contacts_missing")
    ids = [as_id(as_mapping(item).get("id")) for item in items]
    times = Counter(ids)
    places = [place for place, one in enumerate(ids) if one and times[one] == 1]
    contacts = [as_mapping(items[place]) for place in places]
    pairs = pair_by(sent, contacts, external_id, external_id)
    silent = [place for place, contact in enumerate(contacts) if external_id(contact) is None]
    if len(silent) == len(items) == len(sent) and all(map(agree, sent, contacts)):
        pairs = {index: index for index in range(len(sent))}
    elif silent and len(items) <= len(sent):
        pairs |= match_content(sent, contacts, [i for i in range(len(sent)) if i not in pairs], silent)
    found = {index: ids[places[place]] for index, place in pairs.items()}
    return Replies.of(Created(found[i]) if i in found else Doubt("not_returned") for i in range(len(sent)))


def external_id(contact: Mapping[str, Any]) -> str | None:
    """Return a contact's external id; a number stands for its text."""
    return as_id(contact.get("external_id"))


def match_content(
    sent: Sequence[Payload], contacts: Sequence[Mapping[str, Any]], indices: Sequence[int], places: Sequence[int]
) -> dict[int, int]:
    """Pair those that agree with each other and with nobody else."""
    by_name: dict[str, list[int]] = {}
    for place in places:
        by_name.setdefault(name_of(contacts[place]), []).append(place)
    fitting = {
        index: [place for place in by_name.get(name_of(sent[index]), ()) if agree(sent[index], contacts[place])]
        for index in indices
    }
    wanted = Counter(place for fits in fitting.values() for place in fits)
    return {index: fits[0] for index, fits in fitting.items() if len(fits) == 1 and wanted[fits[0]] == 1}


def agree(record: Payload, contact: Mapping[str, Any]) -> bool:
    """Tell whether name, numbers and addresses of a contact can be this record's; what is not shown says nothing."""
    return name_of(record) == name_of(contact) != "" and all(
        not given or not shown or bool(given & shown)
        for given, shown in ((phones_of(record), phones_of(contact)), (emails_of(record), emails_of(contact)))
    )


def name_of(contact: Mapping[str, Any]) -> str:
    """Return the name for comparing; ``name`` wins over its parts (SEED)."""
    parts = (fold_text(contact.get("first_name")), fold_text(contact.get("last_name")))
    return fold_text(contact.get("name")) or " ".join(filter(None, parts))


def phones_of(contact: Mapping[str, Any]) -> frozenset[str]:
    """Return the last digits of every number, as written and as normalized by the vendor."""
    entries = [as_mapping(entry) for entry in as_list(contact.get("phone_numbers")) or ()]
    written = [contact.get("phone"), *(entry.get(part) for entry in entries for part in ("number", "normalized"))]
    return frozenset(fold_phone(one)[-PHONE_TAIL:] for one in written) - {""}


def emails_of(contact: Mapping[str, Any]) -> frozenset[str]:
    """Return every address for comparing."""
    entries = map(as_mapping, as_list(contact.get("email_addresses")) or ())
    return frozenset(map(fold_text, (contact.get("email"), *(entry.get("address") for entry in entries)))) - {""}


DESTINATION = DestinationForm(
    settings=(
        Setting(
            name="address_book_id",
            kind="integer",
            label="Address book ID",
            description="The address book that the contacts go into",
        ),
        Setting(
            name="address_book",
            label="Address book name",
            description="Its name instead of its ID. It must exist, and is looked up before anything is sent",
        ),
    ),
    exactly_one=("address_book_id", "address_book"),
    object_key="address_book_id",
)

FORM = ConnectionForm(
    relabeling={"login": "Account email", "password": "API key"},
    placeholders={"host": BASE_URL, "login": "owner@company.example"},
)

VENDOR = Vendor(
    name="apptoto",
    title="Apptoto",
    docs_url="https://apidocs.apptoto.com/reference/v1eventstest",
    form=FORM,
    base_url=lambda _account: BASE_URL,
    auth=auth,
    destination=DESTINATION,
    contract=RecordContract(record=Contact, coherent=check_name),
    # In any minute at most 4 + 60 * 1.6 = 100 requests. Few in flight: the gateway was seen to give up under load.
    limits=Limits(batch_size=20, max_in_flight=4, requests_per_second=1.6, burst=4),
    request_path=lambda _destination: "/v1/contacts",
    envelope=(b'{"contacts":[', b"]}"),
    destination_fields=lambda destination: {"address_book_id": destination["address_book_id"]},
    generated=generated,
    read=read,
    check=lambda _destination: ADDRESS_BOOKS,
    lookup=Lookup(request=lookup_request, read=read_address_books),
    read_back=READ_BACK,
    # What a second contact of one external id is answered is UNKNOWN: a 409 may mean that it exists.
    exists_codes=frozenset({"conflict"}),
)
