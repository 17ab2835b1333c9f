"""Dex: contacts of the one user whose API key is used.

Marks: SEED, stated on the page of this very request
(guidev3.getdex.com/api-reference/reference/contacts/create-contacts); FOUND, stated elsewhere, which is named;
INFERRED, deduced; UNKNOWN, nothing seen.

- Request with its trailing slash, bearer key, field names and types, shape of the answer: SEED.
- Every field is optional, at most 100 contacts a request: FOUND (Dex's own tools, repository getdex/agent-skills,
  dex-skill/references/tools-reference.md); the REST page states no maximum. We refuse a record without any field.
- Successes say ``"error": false`` and show absent values as null: FOUND (repository nwalker85/ultradex).
- ``GET /v1/users/me``: FOUND (guidev3.getdex.com/api-reference/reference/users/get-current-user).
- UNKNOWN: whether a contact's own ``id`` is honoured (trusted only when echoed), the members of the enumerations after
  the first (any text passes), error bodies, rate limits, whether a batch is taken whole.

The answer shows neither emails nor phones, so contacts are told by id, by order or by name and company. Never by
``linkedin``, which is stored as a bare handle: FOUND (public scripts that read it back). The file is long because the
vendor's contact is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError, UnreadableError
from airflow_provider_contacts.vendor_kit.auth import Credential, bearer
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.fields import (
    Anything,
    DateText,
    DateTimeText,
    Email,
    Flag,
    Number,
    UuidText,
    Whole,
    check_json,
)
from airflow_provider_contacts.vendor_kit.json_values import as_id, as_list, as_mapping, doubt_all, fold_text, pair_by
from airflow_provider_contacts.vendor_kit.vendor import (
    Account,
    ConnectionForm,
    Created,
    Doubt,
    Limits,
    Payload,
    Replies,
    Request,
    Response,
    Vendor,
)
from airflow_provider_contacts.vendors.dex_reads import READ_BACK

BASE_URL = "https://api.prod.getdex.com"

Object = Annotated[dict[str, Any], Field(strict=True), AfterValidator(check_json)]


class Place(TypedDict, total=False):
    """Degrees."""

    latitude: Number
    longitude: Number


class Coordinates(TypedDict, total=False):
    """``operation`` is an enumeration of which ``set`` is known."""

    operation: StrictStr
    data: Place


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

    group_id: UuidText


class TagLink(TypedDict, total=False):
    """A tag that the contact gets; on create a plain list (the update request has another form: FOUND)."""

    tag_id: UuidText


class CustomField(TypedDict, total=False):
    """``type`` is an enumeration; ``input``, ``autocomplete`` and ``datepicker`` are known (getdex/agent-skills)."""

    id: UuidText
    type: StrictStr
    text_value: StrictStr
    custom_field: Anything


class BirthdayReminder(TypedDict, total=False):
    """Whose birthday was last dismissed when."""

    contact_id: UuidText
    last_dismissal_year: Whole


class RelatedContact(TypedDict, total=False):
    """A link to another contact; two of its members have no documented type."""

    destination: UuidText
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
    birthday: DateText
    birthday_year: Whole
    frequency: StrictStr
    last_seen_at: DateTimeText
    never_keep_in_touch: Flag
    next_reminder_at: DateTimeText
    linkedin: StrictStr
    twitter: StrictStr
    facebook: StrictStr
    instagram: StrictStr
    telegram: StrictStr
    tiktok: StrictStr
    youtube: StrictStr
    whatsapp_message_link: StrictStr
    whatsapp_message_snippet: StrictStr
    whatsapp_last_message_at: DateTimeText
    imessage_message_link: StrictStr
    imessage_message_snippet: StrictStr
    imessage_last_message_at: DateTimeText
    linkedin_message_link: StrictStr
    linkedin_last_message_snippet: StrictStr
    linkedin_last_message_at: DateTimeText
    linkedin_data: Object
    instagram_message_link: StrictStr
    instagram_message_snippet: StrictStr
    instagram_last_message_at: DateTimeText
    gmail_last_interaction_at: DateTimeText
    gmail_last_interaction_provider_id: StrictStr
    gmail_last_interaction_subject: StrictStr
    gmail_last_interaction_provider: StrictStr
    gcal_last_interaction_at: DateTimeText
    gcal_last_interaction_provider_id: StrictStr
    gcal_last_interaction_title: StrictStr
    gcal_last_interaction_provider: StrictStr
    phone_call_last_interaction_at: DateTimeText
    phone_call_interaction_snippet: StrictStr
    web_search_summary: Object
    legacy_contact_addresses: list[Address]
    contact_emails: list[ContactEmail]
    contact_phone_numbers: list[ContactPhoneNumber]
    groups_contacts: list[GroupLink]
    tags_contacts: list[TagLink]
    custom_fields: list[CustomField]
    contact_birthdays: BirthdayReminder
    id: UuidText
    related_contacts: list[RelatedContact]


def check_some_field(payload: Payload) -> None:
    """Refuse a contact without any field: whether the vendor would take it is unknown, and nobody means it."""
    if not payload:
        raise InvalidRecordError([("empty_record", None, "a contact needs at least one field")])


def shape(record: dict[str, Any]) -> dict[str, Any]:
    """Replace one flat email and one flat number by lists of one."""
    if "email" in record:
        record["contact_emails"] = [{"email": record.pop("email")}]
    if "phone_number" in record:
        record["contact_phone_numbers"] = [{"phone_number": record.pop("phone_number")}]
    return record


def auth(account: Account) -> Credential:
    """Return the bearer header of the user's API key, which does not expire."""
    if not account.password:
        raise ConfigError("a Dex connection needs a password: the user's API key (dex_…)")
    return bearer(account.password)


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return what the error flag and the contacts shown prove together.

    The flag must be a real boolean: a text or a number in its place is truthy or falsy by accident.
    """
    try:
        body = as_mapping(answer.json())
    except UnreadableError:
        return doubt_all(len(sent), "unreadable")
    failed = body.get("error")
    if not isinstance(failed, bool):
        return doubt_all(len(sent), "error_flag_missing")
    items = as_list(as_mapping(body.get("data")).get("contacts"))
    if items is None:
        return doubt_all(len(sent), "error_flag" if failed else "contacts_missing")
    contacts = [as_mapping(item) for item in items]
    ids = [as_id(contact.get("id")) for contact in contacts]
    pairs = match_ids(sent, ids)
    known = [one.lower() for one in ids if one]
    if failed:
        code = "error_flag"
    elif len(contacts) > len(sent) or len(set(known)) < len(known):
        code = "contacts_disagree"
    else:
        ordered = in_order(sent, contacts, ids, pairs)
        pairs = {i: i for i in range(len(sent))} if ordered else match_names(sent, contacts, ids, pairs)
        code = "not_returned" if len(contacts) < len(sent) else "unmatched"
    return Replies.of(Created(ids[pairs[i]]) if i in pairs else Doubt(code) for i in range(len(sent)))


def match_ids(sent: Sequence[Payload], ids: Sequence[str | None]) -> dict[int, int]:
    """Pair by the id that a record brought along and the answer echoes; one that two records brought proves nothing."""
    brought = [str(record["id"]).lower() if record.get("id") else None for record in sent]
    times = Counter(brought)
    places: dict[str, int] = {}
    for place, one in enumerate(ids):
        if one:
            places.setdefault(one.lower(), place)
    return {i: places[one] for i, one in enumerate(brought) if one is not None and times[one] == 1 and one in places}


def in_order(
    sent: Sequence[Payload],
    contacts: Sequence[Mapping[str, Any]],
    ids: Sequence[str | None],
    pairs: Mapping[int, int],
) -> bool:
    """Tell whether the contacts are the records one by one: as many, all with ids, and nothing speaks against it."""
    return (
        len(contacts) == len(sent)
        and all(ids)
        and all(index == place for index, place in pairs.items())
        and not any(contradicts(record, contact) for record, contact in zip(sent, contacts, strict=True))
    )


def contradicts(record: Payload, contact: Mapping[str, Any]) -> bool:
    """Tell whether a contact cannot be this record. A name that we did not give may come from the email."""
    given, shown = set(names(record)) - {""}, set(names(contact))
    company = fold_text(record.get("company"))
    return bool(given and not given & shown) or bool(company and company != fold_text(contact.get("company")))


def names(contact: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name as shown whole and as joined from its parts, each standing in for the other if that is empty."""
    whole_name = fold_text(contact.get("full_name"))
    joined = " ".join(filter(None, (fold_text(contact.get("first_name")), fold_text(contact.get("last_name")))))
    return whole_name or joined, joined or whole_name


def match_names(
    sent: Sequence[Payload],
    contacts: Sequence[Mapping[str, Any]],
    ids: Sequence[str | None],
    pairs: Mapping[int, int],
) -> dict[int, int]:
    """Add pairs of one name, told whole or in parts; a contact without an id proves nothing."""
    found = dict(pairs)
    for spelling in (0, 1):
        taken = set(found.values())
        wanted: dict[str, list[int]] = {}
        for index, record in enumerate(sent):
            if index not in found:
                wanted.setdefault(names(record)[spelling], []).append(index)
        there: dict[str, list[int]] = {}
        for place, contact in enumerate(contacts):
            if place not in taken and ids[place]:
                there.setdefault(names(contact)[spelling], []).append(place)
        for name, indices in wanted.items():
            places = there.get(name, [])
            by_company = match_companies([sent[i] for i in indices], [contacts[p] for p in places], named=bool(name))
            found.update({indices[i]: places[p] for i, p in by_company.items()})
    return found


def match_companies(sent: Sequence[Payload], contacts: Sequence[Mapping[str, Any]], *, named: bool) -> dict[int, int]:
    """Pair records of one name with contacts of that name by company.

    A contact that shows no company can be any of the records, so then it must be all of them.
    """

    def company(contact: Mapping[str, Any]) -> str | None:
        return fold_text(contact.get("company")) or ("" if named else None)

    pairs = pair_by(sent, contacts, company, company)
    if all(map(company, contacts)):
        return pairs
    if len(contacts) != len(sent) or not named:
        return {}
    others = (index for index in range(len(sent)) if index not in pairs)
    rest = sorted(set(range(len(contacts))).difference(pairs.values()))
    return pairs | {index: place for index, place in zip(others, rest, strict=True) if not company(contacts[place])}


FORM = ConnectionForm(
    hidden=("login",),
    relabeling={"password": "API key"},
    placeholders={"host": BASE_URL, "password": "dex_…"},
)

VENDOR = Vendor(
    name="dex",
    title="Dex",
    docs_url="https://getdex.com/docs/api-reference/reference/contacts/create-contacts",
    form=FORM,
    base_url=lambda _account: BASE_URL,
    auth=auth,
    contract=RecordContract(
        record=Contact,
        coherent=check_some_field,
        shorthands={"email": "contact_emails", "phone_number": "contact_phone_numbers"},
        shape=shape,
    ),
    # The batch: FOUND, see above. Rates are UNKNOWN; public clients expect a 429.
    limits=Limits(batch_size=100, max_in_flight=8),
    # The heading of the vendor's page lacks the slash, its sample and a client that works have it.
    request_path=lambda _destination: "/v1/contacts/",
    envelope=(b'{"contacts":[', b"]}"),
    read=read,
    check=lambda _destination: Request("GET", "/v1/users/me"),
    read_back=READ_BACK,
    # What an id of ours that exists already is answered is UNKNOWN: a 409 INFERRED.
    exists_codes=frozenset({"conflict"}),
)
