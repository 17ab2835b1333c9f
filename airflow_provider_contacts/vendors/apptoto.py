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

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Required

from pydantic import ConfigDict, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.vendor_kit.auth import login_and_password
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.destinations import by_name, in_records, made_id, path
from airflow_provider_contacts.vendor_kit.fields import Email, Flag, not_beside
from airflow_provider_contacts.vendor_kit.forms import DestinationForm, Setting
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_list, as_mapping, fold_text, phone_tail
from airflow_provider_contacts.vendor_kit.matching import by, identified, in_order, matched
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Limits, Payload, Replies, Request, Response, Vendor
from airflow_provider_contacts.vendors.apptoto_reads import READ_BACK

ADDRESS_BOOKS = Request("GET", "/v1/address_books")


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


def external_id(contact: Mapping[str, Any]) -> str | None:
    """Return a contact's external id; a number stands for its text."""
    return as_id(contact.get("external_id"))


def agree(record: Payload, contact: Mapping[str, Any]) -> bool:
    """Tell whether a contact that shows no external id can be this record; what else is not shown says nothing."""
    return (
        external_id(contact) is None
        and name_of(record) == name_of(contact) is not None
        and all(
            not given or not shown or bool(given & shown)
            for given, shown in ((phones_of(record), phones_of(contact)), (emails_of(record), emails_of(contact)))
        )
    )


def name_of(contact: Mapping[str, Any]) -> str | None:
    """Return the name for comparing; ``name`` wins over its parts (SEED)."""
    parts = (fold_text(contact.get("first_name")), fold_text(contact.get("last_name")))
    return fold_text(contact.get("name")) or " ".join(filter(None, parts)) or None


def content(contact: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return name, numbers and addresses for comparing."""
    return name_of(contact), phones_of(contact), emails_of(contact)


def phones_of(contact: Mapping[str, Any]) -> frozenset[str]:
    """Return the last digits of every number, as written and as normalized by the vendor."""
    listed = map(as_mapping, as_list(contact.get("phone_numbers")) or ())
    written = [contact.get("phone"), *(entry.get(part) for entry in listed for part in ("number", "normalized"))]
    return frozenset(map(phone_tail, written)) - {""}


def emails_of(contact: Mapping[str, Any]) -> frozenset[str]:
    """Return every address for comparing."""
    listed = map(as_mapping, as_list(contact.get("email_addresses")) or ())
    return frozenset(map(fold_text, (contact.get("email"), *(entry.get("address") for entry in listed)))) - {""}


VENDOR = Vendor(
    name="apptoto",
    title="Apptoto",
    docs_url="https://apidocs.apptoto.com/reference/v1eventstest",
    base_url=lambda _account: "https://api.apptoto.com",
    auth=login_and_password("Account email", "API key", example="owner@company.example"),
    destination=DestinationForm(
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
    read_back=READ_BACK,
)
