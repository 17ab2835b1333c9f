"""Dex, read back: by the id that a record brought along, by its emails, or by its name among all contacts.

Marks as in the vendor's file.

- ``GET /v1/contacts/{id}`` shows the contact as ``data``, 404 where there is none: FOUND
  (getdex.com/docs/api-reference/reference/contacts/get-a-contact). Whether an id of ours is honoured is UNKNOWN, so a
  contact of that very id proves that the record is there, and a 404 proves nothing.
- ``POST /v1/contacts/by-emails``: FOUND
  (getdex.com/docs/api-reference/reference/contacts/find-contacts-by-email), as a list in its sample and as a map in
  its text: both are read. Two switches make it create contacts, so both are sent as false; their default is UNKNOWN. It
  shows "its matching contact" of an email, so that behind an older contact ours may hide: what it shows can be the
  record, but only where it shows nothing is the record absent. Clients ask for 50 emails at a time (FOUND, public
  scripts); one at a time, it is known whose contact is shown, since the sample has no emails. Whether their case
  matters is UNKNOWN, so an email is asked for as sent and in lower case.
- ``GET /v1/contacts`` gives all contacts, ``data.items`` and ``data.nextCursor``, and minds nothing but ``cursor``:
  FOUND (repository nwalker85/ultradex, core/dex_client.py). An older form has ``data.contacts`` and
  ``data.pagination.nextCursor``: FOUND (a public script). ``count`` beside them: FOUND
  (getdex.com/docs/api-reference/reference/contacts/filter-contacts, which calls its answer identical), where what it
  counts is not said. 500 contacts in a page: FOUND (as above).
- ``POST /v1/contacts/filter`` is not used: its page and the clients disagree on where the filter stands, and one that
  is not understood may find nothing.
- ``created_at``, names and company of a contact: SEED.

A record without an email, an id or a whole name is not asked about. Social profiles and pictures, which come back in
another form (FOUND), and all members whose form in a read is UNKNOWN are not compared.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit import reads
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_mapping, as_moment, as_text, fold_text
from airflow_provider_contacts.vendor_kit.matching import Content
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack, contacts_of, entries_of
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response

ALL = "/v1/contacts"
BY_EMAILS = "/v1/contacts/by-emails"
NOT_FOUND = 404
FULL_PAGE = 500
MOST_WORDS = 8

SHOWN = (
    "description", "job_title", "company", "education", "website", "legacy_location", "starred", "frequency",
    "birthday", "source",
)  # fmt: skip
PARTS = ("first_name", "last_name")
NAMES = ("full_name", *PARTS)
# As they are sent, and as older answers of the same vendor name them.
EMAILS = ("contact_emails", "emails")
NUMBERS = ("contact_phone_numbers", "phone_numbers", "phones")


@dataclass(frozen=True, slots=True)
class Aside:
    """The context of a question.

    :param ids: the ids that the records of the question brought along, in lower case.
    :param alone: no other question can prove that the record is absent.
    :param seen: contacts of the pages before.
    """

    ids: frozenset[str | None] = frozenset()
    alone: bool = False
    seen: int = 0


def questions(sought: Sequence[Payload], _destination: Destination) -> list[Question]:
    """Return the questions about the records: by id, by emails, and one for all that are known by their names alone."""
    ids = list(map(own_id, sought))
    times = Counter(ids)
    told_apart = [index for index, one in enumerate(ids) if one is None or times[one] == 1]
    emails = {index: found for index in told_apart if (found := emails_of(sought[index]))}
    named = [index for index in told_apart if index not in emails and has_whole_name(sought[index])]
    asked = [
        Question(
            request=Request("GET", f"{ALL}/{quote(str(sought[index]['id']), safe='')}"),
            about=(index,),
            context=Aside(alone=index not in {*emails, *named}),
        )
        for index in told_apart
        if ids[index] is not None
    ]
    asked += email_questions(emails, ids)
    if named:
        aside = Aside(frozenset(ids[index] for index in named))
        asked.append(Question(request=Request("GET", ALL), about=tuple(named), context=aside))
    return asked


def email_questions(emails: Mapping[int, Sequence[str]], ids: Sequence[str | None]) -> Iterator[Question]:
    """Yield a question for each email, told not to create what it does not find."""
    asked: dict[str, dict[int, str]] = defaultdict(dict)
    for index, found in emails.items():
        for email in found:
            asked[email.lower()][index] = email
    for lower, spelled in asked.items():
        spellings = dict.fromkeys(one for email in spelled.values() for one in (email, lower))
        body = {"emails": list(spellings), "createFromGoogleContacts": False, "createFromOAuthInteractions": False}
        request = Request("POST", BY_EMAILS, body=json.dumps(body).encode())
        yield Question(request=request, about=tuple(spelled), context=Aside(frozenset(ids[one] for one in spelled)))


def own_id(contact: Content) -> str | None:
    """Return an id for comparing: the one that a record brought along, or a contact's."""
    return (as_id(contact.get("id")) or "").lower() or None


def emails_of(payload: Payload) -> list[str]:
    """Return a record's emails, each once."""
    found = [entry.get("email") for entry in payload.get("contact_emails") or ()]
    return list({email.lower(): email for email in found if email}.values())


def has_whole_name(payload: Payload) -> bool:
    """Tell whether a name stands for one person: whole, or first and last."""
    whole, first, last = (bool(fold_text(payload.get(name))) for name in NAMES)
    return whole or (first and last)


def read(answer: Response, question: Question) -> Page:
    """Return the contacts of an answer, which must be whole and free of the error flag."""
    path = question.request.path
    if answer.status == NOT_FOUND and path in {ALL, BY_EMAILS}:
        raise UnreadableError("no look-up of one contact")
    if answer.status == NOT_FOUND:
        return Page(contacts=(), whole=not question.context.alone)
    body = answer.json()
    if path == ALL:
        return read_page(as_mapping(data_of(body)), question)
    return found_alone(those_of_an_email(data_of(body), question) if path == BY_EMAILS else [read_one(body, path)])


def data_of(body: Any) -> Any:
    """Return the data of an answer whose flag says in so many words that there is no error."""
    if as_mapping(body).get("error") is not False:
        raise UnreadableError("the error flag is set or missing")
    return body.get("data")


def read_one(body: Any, path: str) -> Contact:
    """Return the contact of a look-up by id, which must have that id; it is shown bare or below one or two names."""
    bare = as_id(as_mapping(body).get("id")) is not None and "data" not in body
    data = as_mapping(body if bare else data_of(body))
    shown = as_mapping(data["contact"]) if "contact" in data and "id" not in data else data
    id_ = own_id(shown)
    if id_ is None or not reads.ends_path(path.lower(), id_):
        raise UnreadableError("not the contact that was asked for")
    # It is the record, whenever it was created.
    return replace(contact_of(shown, {id_}), created_at=None)


def those_of_an_email(data: Any, question: Question) -> Iterator[Contact]:
    """Yield the contacts of an email.

    One that shows no emails has it, else it would not be shown; whether it has others is not told. So it stands there
    twice, with this email for a record that has no other, and with none.
    """
    asked: list[str] = json.loads(question.request.body or b"{}")["emails"]
    wanted = set(map(fold_text, asked))
    contacts = [contact_of(shown, question.context.ids) for shown in listed(data, wanted)]
    told = {contact.id: contact for contact in contacts}
    if any(told[contact.id] != contact for contact in contacts):
        raise UnreadableError("two contacts of one id")
    for contact in told.values():
        emails = contact.fields.get("contact_emails")
        if emails and wanted.isdisjoint(fold_text(entry.get("email")) for entry in emails):
            raise UnreadableError("a contact without the email that was asked for")
        if emails:
            yield contact
        else:
            silent = {name: value for name, value in contact.fields.items() if name != "contact_emails"}
            yield replace(contact, fields=silent | {"contact_emails": [{"email": asked[0]}]})
            yield replace(contact, fields=silent)


def listed(data: Any, wanted: Collection[str]) -> list[Content]:
    """Return the contacts of a list, or of a map of the ``wanted`` email to one, to several or to none."""
    found = data
    if isinstance(data, dict) and data.keys().isdisjoint({"contacts", "items"}):
        if any(fold_text(key) not in wanted for key in data):
            raise UnreadableError("an email that was not asked for")
        groups = [value if isinstance(value, list) else [value] for value in data.values() if value is not None]
        found = [one for group in groups for one in group]
    elif isinstance(data, dict):
        found = data["contacts"] if "contacts" in data else data["items"]
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UnreadableError("neither a list nor a map of contacts")
    return found


def read_page(data: Content, question: Question) -> Page:
    """Return the contacts of one page of all, and the question for the next one."""
    aside = question.context
    items = data["items"] if "items" in data else data.get("contacts")
    contacts = contacts_of(items, lambda shown: contact_of(shown, aside.ids))
    if any(contact.created_at is None for contact in contacts):
        # By its name alone a contact can only be ours if it was created when ours was sent.
        raise UnreadableError("a contact without the moment of its creation")
    holder = next((one for one in (data, as_mapping(data.get("pagination"))) if "nextCursor" in one), None)
    if holder is None and len(contacts) >= FULL_PAGE:
        raise UnreadableError("a full page that does not say what follows")
    cursor = reads.next_cursor(as_mapping(holder).get("nextCursor"))
    seen, count = aside.seen + len(contacts), as_count(data.get("count"))
    if count is not None and (count < len(contacts) or (cursor is None and count not in {len(contacts), seen})):
        raise UnreadableError("the pages hold another number of contacts than they say")
    shown = tuple(one for contact in contacts for one in in_every_name(contact))
    if cursor is None:
        return Page(contacts=shown)
    request = Request("GET", ALL, query=(("cursor", cursor),))
    return Page(contacts=shown, more=replace(question, request=request, context=replace(aside, seen=seen)))


def contact_of(shown: Content, ids: Collection[str | None]) -> Contact:
    """Return a contact as it would be sent; a whole name that is not shown is made of its parts.

    :param ids: those that sought records brought along, in lower case. An id of the vendor's own is not compared.
    """
    id_ = as_id(shown.get("id"))
    if id_ is None or not any(name in shown for name in NAMES):
        raise UnreadableError("a contact without an id or a name")
    fields: Payload = {name: shown[name] for name in (*SHOWN, *NAMES) if name in shown}
    if not fold_text(shown.get("full_name")):
        fields["full_name"] = " ".join(filter(None, (as_text(shown.get(name)) for name in PARTS))) or None
    if id_.lower() in ids:
        fields["id"] = id_
    if isinstance(birthday := fields.get("birthday"), str) and birthday[10:11] == "T":
        fields["birthday"] = birthday[:10]
    for spellings, member in ((EMAILS, "email"), (NUMBERS, "phone_number")):
        entries = next((shown[one] for one in spellings if shown.get(one) is not None), None)
        if entries is not None:
            fields[spellings[0]] = entries_of(entries, member)
    return Contact(id=id_, fields=fields, created_at=as_moment(shown.get("created_at")))


def found_alone(contacts: Iterable[Contact]) -> Page:
    """Return a page that proves presence alone, if it shows anything: behind a contact, another one may hide."""
    shown = tuple(one for contact in contacts for one in in_every_name(contact))
    return Page(contacts=shown, whole=not shown)


def in_every_name(contact: Contact) -> Iterator[Contact]:
    """Yield a contact with a whole name and no parts once for every way to part it: in one of them it was sent."""
    words = str(contact.fields["full_name"] or "").split()
    if any(fold_text(contact.fields.get(part)) for part in PARTS) or not 0 < len(words) <= MOST_WORDS:
        yield contact
        return
    for cut in range(1, len(words)) if len(words) > 1 else range(2):
        names = {"first_name": " ".join(words[:cut]) or None, "last_name": " ".join(words[cut:]) or None}
        yield replace(contact, fields=contact.fields | names)


READ_BACK = ReadBack(
    questions=questions,
    read=read,
    # The names too: what is shown in another form must not make of a namesake somebody else.
    identity=("id", "contact_emails.email", "contact_phone_numbers.phone_number", "full_name", "last_name"),
    absent_statuses=frozenset({NOT_FOUND}),
    most_requests=5_000,
)
