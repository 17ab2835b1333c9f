"""Dex: contacts of the one user whose API key is used.

Marks: SEED, stated on the page of this very request
(guidev3.getdex.com/api-reference/reference/contacts/create-contacts); FOUND, stated elsewhere, which is named;
INFERRED, deduced; UNKNOWN, nothing seen.

- Request with its trailing slash, bearer key, field names and types, shape of the answer: SEED.
- Every field is optional, at most 100 contacts a request: FOUND (Dex's own tools, repository getdex/agent-skills,
  dex-skill/references/tools-reference.md); the REST page states no maximum. We refuse a record without any field.
- Successes say ``"error": false`` and show absent values as null: FOUND (repository nwalker85/ultradex).
- A key needs the Professional plan, and in these tools a repeated call to create a contact duplicates it: FOUND (the
  same repository, dex-skill/SKILL.md). Values of ``frequency``: FOUND (repository byndcloud/unofficial-dex-mcp).
- ``GET /v1/users/me``: FOUND (guidev3.getdex.com/api-reference/reference/users/get-current-user).
- UNKNOWN: whether a contact's own ``id`` is honoured (trusted only when echoed), the members of the enumerations after
  the first (any text passes), error bodies, rate limits, whether a batch is taken whole.

The answer shows neither emails nor phones, so contacts are told by id, by order or by name and company. Never by
``linkedin``, which is stored as a bare handle: FOUND (public scripts that read it back).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pydantic import ConfigDict, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.vendor_kit.auth import api_key
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.destinations import get, path
from airflow_provider_contacts.vendor_kit.fields import Anything, Date, Email, Flag, Moment, Number, Object, Uuid, Whole
from airflow_provider_contacts.vendor_kit.json_values import as_list, as_mapping, fold_text
from airflow_provider_contacts.vendor_kit.matching import Content, Step, by, identified, in_order, matched
from airflow_provider_contacts.vendor_kit.shorthands import wrap
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Limits, Payload, Replies, Response, Vendor
from airflow_provider_contacts.vendors.dex_reads import READ_BACK, own_id


class Position(TypedDict, total=False):
    """Degrees."""

    latitude: Number
    longitude: Number


class Coordinates(TypedDict, total=False):
    """``operation`` is an enumeration of which ``set`` is known."""

    operation: StrictStr
    data: Position


class Address(TypedDict, total=False):
    """An address in one text."""

    formatted: StrictStr


class ContactEmail(TypedDict, total=False):
    """One of a contact's addresses."""

    email: Email
    label: StrictStr
    ranking: Whole


class ContactPhoneNumber(TypedDict, total=False):
    """One of a contact's numbers."""

    phone_number: StrictStr
    country_code: StrictStr
    phone_number_sanitized: StrictStr
    label: StrictStr
    ranking: Whole


class GroupLink(TypedDict, total=False):
    """A group that the contact is put into."""

    group_id: Uuid


class TagLink(TypedDict, total=False):
    """A tag that the contact gets; on create a plain list (the update request has another form: FOUND)."""

    tag_id: Uuid


class CustomField(TypedDict, total=False):
    """``type`` is an enumeration; ``input``, ``autocomplete`` and ``datepicker`` are known (getdex/agent-skills)."""

    id: Uuid
    type: StrictStr
    text_value: StrictStr
    custom_field: Anything


class BirthdayReminder(TypedDict, total=False):
    """Whose birthday was last dismissed when."""

    contact_id: Uuid
    last_dismissal_year: Whole


class RelatedContact(TypedDict, total=False):
    """A link to another contact; two of its members have no documented type."""

    destination: Uuid
    source_contact: Anything
    destination_contact: Anything


@with_config(ConfigDict(extra="forbid"))
class Contact(TypedDict, total=False):
    """One member of ``contacts``, in the order of the vendor's page."""

    full_name: StrictStr
    first_name: StrictStr
    last_name: StrictStr
    description: StrictStr
    job_title: StrictStr
    legacy_location: StrictStr
    company: StrictStr
    education: StrictStr
    starred: Flag
    source: StrictStr
    coordinates: Coordinates
    image_url: StrictStr
    image_source: StrictStr
    business_card_url: StrictStr
    website: StrictStr
    birthday: Date
    birthday_year: Whole
    frequency: StrictStr
    last_seen_at: Moment
    never_keep_in_touch: Flag
    next_reminder_at: Moment
    linkedin: StrictStr
    twitter: StrictStr
    facebook: StrictStr
    instagram: StrictStr
    telegram: StrictStr
    tiktok: StrictStr
    youtube: StrictStr
    whatsapp_message_link: StrictStr
    whatsapp_message_snippet: StrictStr
    whatsapp_last_message_at: Moment
    imessage_message_link: StrictStr
    imessage_message_snippet: StrictStr
    imessage_last_message_at: Moment
    linkedin_message_link: StrictStr
    linkedin_last_message_snippet: StrictStr
    linkedin_last_message_at: Moment
    linkedin_data: Object
    instagram_message_link: StrictStr
    instagram_message_snippet: StrictStr
    instagram_last_message_at: Moment
    gmail_last_interaction_at: Moment
    gmail_last_interaction_provider_id: StrictStr
    gmail_last_interaction_subject: StrictStr
    gmail_last_interaction_provider: StrictStr
    gcal_last_interaction_at: Moment
    gcal_last_interaction_provider_id: StrictStr
    gcal_last_interaction_title: StrictStr
    gcal_last_interaction_provider: StrictStr
    phone_call_last_interaction_at: Moment
    phone_call_interaction_snippet: StrictStr
    web_search_summary: Object
    legacy_contact_addresses: list[Address]
    contact_emails: list[ContactEmail]
    contact_phone_numbers: list[ContactPhoneNumber]
    groups_contacts: list[GroupLink]
    tags_contacts: list[TagLink]
    custom_fields: list[CustomField]
    contact_birthdays: BirthdayReminder
    id: Uuid
    related_contacts: list[RelatedContact]


def check_some_field(payload: Payload) -> None:
    """Refuse a contact without any field: whether the vendor would take it is unknown, and nobody means it."""
    if not payload:
        raise InvalidRecordError([("empty_record", None, "a contact needs at least one field")])


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return what the error flag and the contacts shown prove together.

    The flag must be a real boolean: a text or a number in its place is truthy or falsy by accident. Where it is set, or
    the contacts cannot be those that were sent, only a record's own id proves anything.
    """
    body = as_mapping(answer.json())
    failed = body.get("error")
    if not isinstance(failed, bool):
        return Replies.doubt(len(sent), "error_flag_missing")
    items = as_list(as_mapping(body.get("data")).get("contacts"))
    if items is None:
        return Replies.doubt(len(sent), "error_flag" if failed else "contacts_missing")
    shown = identified(items)
    if failed or len(items) > len(sent) or any(one and content is None for one, content in zip(*shown, strict=True)):
        return matched(sent, shown, STEPS[:1], Doubt("error_flag" if failed else "contacts_disagree"))
    return matched(sent, shown, STEPS, Doubt("not_returned" if len(items) < len(sent) else "unmatched"))


def names(contact: Content) -> tuple[str, str]:
    """Return the name as shown whole and as joined from its parts, each standing in for the other if that is empty."""
    whole_name = fold_text(contact.get("full_name"))
    joined = " ".join(filter(None, (fold_text(contact.get("first_name")), fold_text(contact.get("last_name")))))
    return whole_name or joined, joined or whole_name


def company(contact: Content) -> str:
    """Return the company for comparing."""
    return fold_text(contact.get("company"))


def not_contradicted(record: Content, contact: Content) -> bool:
    """Tell whether a contact can be this record. A name that we did not give may come from the email."""
    given = set(names(record)) - {""}
    return not (given and given.isdisjoint(names(contact))) and company(record) in {"", company(contact)}


def by_name(spelling: int) -> tuple[Step, Step]:
    """Pair by a spelling of the name and the company.

    A contact that shows no company can be any record of its name, so then it must be all of them.
    """

    def named(contact: Content) -> Hashable | None:
        return names(contact)[spelling] or None

    def employed(contact: Content) -> Hashable | None:
        return (names(contact)[spelling], company(contact)) if company(contact) else None

    return by(employed), by(named, agree=lambda _record, contact: not company(contact))


STEPS = (by(own_id), in_order(not_contradicted), *by_name(0), *by_name(1))

VENDOR = Vendor(
    name="dex",
    title="Dex",
    docs_url="https://getdex.com/docs/api-reference/reference/contacts/create-contacts",
    base_url=lambda _account: "https://api.prod.getdex.com",
    auth=api_key("dex_…"),
    contract=RecordContract(
        record=Contact,
        coherent=check_some_field,
        flat=(
            wrap("contact_emails", {"email": "email"}),
            wrap("contact_phone_numbers", {"phone_number": "phone_number"}),
        ),
    ),
    # The batch: FOUND, see above. Rates are UNKNOWN; public clients expect a 429.
    limits=Limits(batch_size=100, max_in_flight=8),
    # The heading of the vendor's page lacks the slash, its sample and a client that works have it.
    request_path=path("/v1/contacts/"),
    envelope=(b'{"contacts":[', b"]}"),
    read=read,
    check=get("/v1/users/me"),
    read_back=READ_BACK,
)
