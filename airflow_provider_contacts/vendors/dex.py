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

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError, UnreadableError
from airflow_provider_contacts.vendor_kit.auth import Credential, bearer
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
    RecordContract,
    Reply,
    Request,
    Response,
    Vendor,
)
from airflow_provider_contacts.vendors.dex_reads import READ_BACK

BASE_URL = "https://api.prod.getdex.com"

ABSENT: Any = None
"""Default of fields that may be left out but not be null; never read, since only given fields are sent."""


Object = Annotated[dict[str, Any], Field(strict=True), AfterValidator(check_json)]


class Native(BaseModel):
    """What all objects of the request have in common: no unknown names, and values leave as they came."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Place(Native):
    """Degrees."""

    latitude: Number = ABSENT
    longitude: Number = ABSENT


class Coordinates(Native):
    """``operation`` is an enumeration of which ``set`` is known."""

    operation: StrictStr = ABSENT
    data: Place = ABSENT


class Address(Native):
    """An address in one text."""

    formatted: StrictStr = ABSENT


class ContactEmail(Native):
    """One of a contact's addresses."""

    email: Email = ABSENT
    label: StrictStr = ABSENT
    ranking: Whole = ABSENT


class ContactPhoneNumber(Native):
    """One of a contact's numbers."""

    phone_number: StrictStr = ABSENT
    country_code: StrictStr = ABSENT
    phone_number_sanitized: StrictStr = ABSENT
    label: StrictStr = ABSENT
    ranking: Whole = ABSENT


class GroupLink(Native):
    """A group that the contact is put into."""

    group_id: UuidText = ABSENT


class TagLink(Native):
    """A tag that the contact gets; on create a plain list (the update request has another form: FOUND)."""

    tag_id: UuidText = ABSENT


class CustomField(Native):
    """``type`` is an enumeration; ``input``, ``autocomplete`` and ``datepicker`` are known (getdex/agent-skills)."""

    id: UuidText = ABSENT
    type: StrictStr = ABSENT
    text_value: StrictStr = ABSENT
    custom_field: Anything = ABSENT


class BirthdayReminder(Native):
    """Whose birthday was last dismissed when."""

    contact_id: UuidText = ABSENT
    last_dismissal_year: Whole = ABSENT


class RelatedContact(Native):
    """A link to another contact; two of its members have no documented type."""

    destination: UuidText = ABSENT
    source_contact: Anything = ABSENT
    destination_contact: Anything = ABSENT


class Contact(Native):
    """One member of ``contacts``, in the order of the vendor's page."""

    full_name: StrictStr = ABSENT
    first_name: StrictStr = ABSENT
    last_name: StrictStr = ABSENT
    description: StrictStr = ABSENT
    job_title: StrictStr = ABSENT
    legacy_location: StrictStr = ABSENT
    company: StrictStr = ABSENT
    education: StrictStr = ABSENT
    starred: Flag = ABSENT
    source: StrictStr = ABSENT
    coordinates: Coordinates = ABSENT
    image_url: StrictStr = ABSENT
    image_source: StrictStr = ABSENT
    business_card_url: StrictStr = ABSENT
    website: StrictStr = ABSENT
    birthday: DateText = ABSENT
    birthday_year: Whole = ABSENT
    frequency: StrictStr = ABSENT
    last_seen_at: DateTimeText = ABSENT
    never_keep_in_touch: Flag = ABSENT
    next_reminder_at: DateTimeText = ABSENT
    linkedin: StrictStr = ABSENT
    twitter: StrictStr = ABSENT
    facebook: StrictStr = ABSENT
    instagram: StrictStr = ABSENT
    telegram: StrictStr = ABSENT
    tiktok: StrictStr = ABSENT
    youtube: StrictStr = ABSENT
    whatsapp_message_link: StrictStr = ABSENT
    whatsapp_message_snippet: StrictStr = ABSENT
    whatsapp_last_message_at: DateTimeText = ABSENT
    imessage_message_link: StrictStr = ABSENT
    imessage_message_snippet: StrictStr = ABSENT
    imessage_last_message_at: DateTimeText = ABSENT
    linkedin_message_link: StrictStr = ABSENT
    linkedin_last_message_snippet: StrictStr = ABSENT
    linkedin_last_message_at: DateTimeText = ABSENT
    linkedin_data: Object = ABSENT
    instagram_message_link: StrictStr = ABSENT
    instagram_message_snippet: StrictStr = ABSENT
    instagram_last_message_at: DateTimeText = ABSENT
    gmail_last_interaction_at: DateTimeText = ABSENT
    gmail_last_interaction_provider_id: StrictStr = ABSENT
    gmail_last_interaction_subject: StrictStr = ABSENT
    gmail_last_interaction_provider: StrictStr = ABSENT
    gcal_last_interaction_at: DateTimeText = ABSENT
    gcal_last_interaction_provider_id: StrictStr = ABSENT
    gcal_last_interaction_title: StrictStr = ABSENT
    gcal_last_interaction_provider: StrictStr = ABSENT
    phone_call_last_interaction_at: DateTimeText = ABSENT
    phone_call_interaction_snippet: StrictStr = ABSENT
    web_search_summary: Object = ABSENT
    legacy_contact_addresses: Annotated[list[Address], Field(strict=True)] = ABSENT
    contact_emails: Annotated[list[ContactEmail], Field(strict=True)] = ABSENT
    contact_phone_numbers: Annotated[list[ContactPhoneNumber], Field(strict=True)] = ABSENT
    groups_contacts: Annotated[list[GroupLink], Field(strict=True)] = ABSENT
    tags_contacts: Annotated[list[TagLink], Field(strict=True)] = ABSENT
    custom_fields: Annotated[list[CustomField], Field(strict=True)] = ABSENT
    contact_birthdays: BirthdayReminder = ABSENT
    id: UuidText = ABSENT
    related_contacts: Annotated[list[RelatedContact], Field(strict=True)] = ABSENT


def check_some_field(payload: Payload) -> None:
    """Refuse a contact without any field: whether the vendor would take it is unknown, and nobody means it."""
    if not payload:
        raise InvalidRecordError([("empty_record", None, "a contact needs at least one field")])


NESTED = frozenset(
    {
        "coordinates",
        "linkedin_data",
        "web_search_summary",
        "legacy_contact_addresses",
        "contact_emails",
        "contact_phone_numbers",
        "groups_contacts",
        "tags_contacts",
        "custom_fields",
        "contact_birthdays",
        "related_contacts",
    }
)


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


def read(answer: Response, sent: Sequence[Payload]) -> list[Reply]:
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
    return [Created(ids[pairs[index]]) if index in pairs else Doubt(code) for index in range(len(sent))]


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
        model=Contact,
        coherent=check_some_field,
        nested=NESTED,
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
