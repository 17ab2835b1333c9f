"""Intermezzo: contacts of an organization, created in bulk by one array.

Marks: SEED, stated on the page of this very request
(docs.intermezzo.ai/api-reference/core/create-multiple-contacts-in-bulk); FOUND, stated on another page or capture,
which is named; INFERRED, deduced; UNKNOWN, nothing seen.

- Request, bearer token, bare array, the counters of the answer and the meaning of ``unprocessed``: SEED.
- ``name`` is required, ``email`` may be null, ``data`` and ``errors`` may be absent: FOUND (that page, newer capture).
- Credentials come from the vendor on request. Token endpoint, JSON body, audience, ``expires_in``: FOUND
  (docs.intermezzo.ai/auth). Host and audience are not tied.
- An organization shows its contacts: FOUND (docs.intermezzo.ai/api-reference/core/list-orgs).
- The other shape of an error: FOUND (docs.intermezzo.ai/pagination). FastAPI's 422: INFERRED from the API's style.
- UNKNOWN: the largest array, rate limits, the values of ``phoneType`` and ``roles``, the error codes (any is read),
  what makes a record ``unprocessed``, the base of ``inputIndex`` (0 INFERRED; an index that hints at 1 makes doubt).

The created contacts carry no index, so they are told by content, never by position alone.

Read back, the contacts of the organization are compared by content.

- ``GET /organizations/{id}``: FOUND (docs.intermezzo.ai/api-reference/generated/core/get-org), in an older capture,
  whose sample has no contacts. That today's has them is INFERRED from the next.
- ``GET /organizations`` gives a bare array of organizations with ``contacts``, each of ``name``, ``id``, ``email``,
  ``phone`` and ``roles``: FOUND (docs.intermezzo.ai/api-reference/core/list-orgs). It is asked where the first read
  shows no contacts. Those inside its ``workSites`` belong to the sites; ours join the organization (SEED).
- Lists in pages, ``page``, ``size`` up to 100, ``items`` and ``meta.has_next``: FOUND (docs.intermezzo.ai/pagination).
  Both forms of a list are read.
- A list of contacts at an address of its own: UNKNOWN, so none is asked for.
- Older captures write names with underscores (FOUND): both spellings of the phone's are read.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Required

from pydantic import ConfigDict, Field, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit import reads
from airflow_provider_contacts.vendor_kit.auth import client_credentials
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.destinations import get, path
from airflow_provider_contacts.vendor_kit.fields import Email
from airflow_provider_contacts.vendor_kit.forms import one_key
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_list, as_mapping, fold_phone, fold_text
from airflow_provider_contacts.vendor_kit.matching import Content, Rest, by, identified
from airflow_provider_contacts.vendor_kit.reads import Page, Question, ReadBack, contacts_of, ends_path, next_number
from airflow_provider_contacts.vendor_kit.refusals import UNSPECIFIED, Reason, fastapi, reason, status_code
from airflow_provider_contacts.vendor_kit.shorthands import join, wrap
from airflow_provider_contacts.vendor_kit.vendor import Again, Doubt, Limits, Rejected, Replies, Reply, Response, Vendor

ORGANIZATION = get("/organizations/{organization_id}", "/organizations")
PHONE = (("phoneNumber", "phone_number"), ("phoneType", "phone_type"))
COUNTERS = ("total", "succeeded", "failed", "unprocessed")


class Phone(TypedDict, total=False):
    """``phoneType`` is an enumeration of which only ``mobile`` is known (SEED); which member is required: UNKNOWN."""

    phoneNumber: StrictStr  # the vendor's spelling
    phoneType: StrictStr


@with_config(ConfigDict(extra="forbid"))
class Contact(TypedDict, total=False):
    """One member of the array."""

    name: Required[Annotated[StrictStr, Field(min_length=1)]]
    email: Email | None
    phone: Phone
    roles: list[StrictStr]


def read(answer: Response, sent: Sequence[Content]) -> Replies:
    """Return what the counters, the named errors and the shown contacts prove together.

    Three designs of the server fit the documentation: all or nothing, stop at the first error, and partial success.
    All three are read alike: named is rejected, shown is created, and the rest was not created if the counters, which
    must agree with everything, leave no other place for it.
    """
    body = as_mapping(answer.json())
    counts = [count for name in COUNTERS if (count := as_count(body.get(name))) is not None]
    if len(counts) < len(COUNTERS) or not counts[0]:
        return Replies.doubt(len(sent), "counters_missing")
    total, succeeded, failed, _ = counts
    entries, items = ([] if body.get(name) is None else as_list(body[name]) for name in ("errors", "data"))
    indices = [as_count(as_mapping(entry).get("inputIndex")) for entry in entries or ()]
    named = reasons_of(entries or [], range(len(sent)))
    listed = identified(items or [])
    ids = [one for one, content in zip(*listed, strict=True) if content is not None]
    shown = [one for one in listed.contents if one is not None]
    # An index equal to the number of records is one of a server that counts from one.
    shifted = not {len(sent), total}.isdisjoint(indices)
    pairs, contradicted = match_shown(sent, shown, () if shifted else named)
    if contradicted:
        # What is named as refused is shown as created: whatever the indices mean, it is not what we take them for.
        pairs, _ = match_shown(sent, shown, ())
    sound = entries is not None and items is not None and len(shown) == len(listed.ids)
    sound = sound and all(index in range(len(sent)) for index in indices)
    agree = (len(sent), len(shown), len(named)) == (total, succeeded, failed) and total == sum(counts[1:])
    other: Reply
    if shifted or contradicted:
        other, named = Doubt("index_base"), {}
    elif not sound or not agree:
        other = Doubt("counters_disagree")
    else:
        other = Again("unprocessed") if len(pairs) == len(shown) else Doubt("unmatched")
    others: dict[int, Reply] = {index: other for index in range(len(sent)) if index not in pairs}
    rejected: dict[int, Reply] = {index: Rejected(errors) for index, errors in named.items()}
    return Replies([ids[pairs[i]] if i in pairs else None for i in range(len(sent))], others | rejected)


def reasons_of(entries: Sequence[Any], places: range) -> dict[int, tuple[RecordError, ...]]:
    """Read ``[{"inputIndex", "errors": [{"code", "message", "field"}]}]``; entries of one index are merged."""
    found: dict[int, tuple[RecordError, ...]] = {}
    for entry in map(as_mapping, entries):
        index = as_count(entry.get("inputIndex"))
        if index is not None and index in places:
            listed = map(as_mapping, as_list(entry.get("errors")) or ())
            errors = (reason(one.get("code"), one.get("field"), one.get("message")) for one in listed)
            found[index] = (*found.get(index, ()), *errors)
    return {index: errors or (RecordError(UNSPECIFIED),) for index, errors in found.items()}


def match_shown(
    sent: Sequence[Content], shown: Sequence[Content | None], refused: Collection[int]
) -> tuple[dict[int, int], bool]:
    """Pair the records that were not refused with the shown contacts, by content.

    :return: index sent to place shown, and whether a contact that is shown is one of the refused.
    """
    pairs: dict[int, int] = {}
    contradicted = False
    for key in (whole_content, lasting_content):
        pairs |= by(key, letters=letters, some=True)(Rest(sent, shown, {}, pairs, refused))
        left = Rest(sent, shown, {}, pairs).contacts.values()
        contradicted = contradicted or not {key(sent[index]) for index in refused}.isdisjoint(map(key, left))
    return pairs, contradicted


def letters(contact: Content) -> Hashable:
    """Return what is shown of a contact, letter for letter."""
    return repr([contact.get(name) for name in Contact.__annotations__])


def whole_content(contact: Content) -> tuple[str, str, str, tuple[str, ...]]:
    """Return all that an answer shows of a contact, forgiving case, spaces and the writing of numbers."""
    roles = sorted(fold_text(role) for role in as_list(contact.get("roles")) or ())
    phone = fold_phone(as_mapping(contact.get("phone")).get("phoneNumber"))
    return fold_text(contact.get("name")), fold_text(contact.get("email")), phone, tuple(roles)


def lasting_content(contact: Content) -> Hashable:
    """Return what stays when the vendor adds roles or writes a number with its country."""
    name, email, phone, _ = whole_content(contact)
    return name, email, fold_phone(phone, tail=True)


def other_shape(body: Mapping[str, Any], status: int) -> Iterator[Reason]:
    """Read ``{"error", "message", "details": {"field", "value"}}``, which has no index."""
    if body.get("error"):
        field = as_mapping(body.get("details")).get("field")
        yield Reason(None, reason(body["error"], field, body.get("message"), status_code(status)))


def questions(sought: Sequence[Content], destination: Mapping[str, Any]) -> list[Question]:
    """Return the one question about all records; its context is the organization's path."""
    request = ORGANIZATION(destination)
    return [Question(request=request, about=tuple(range(len(sought))), context=request.path)]


def read_contacts(answer: Response, question: Question) -> Page:
    """Return the contacts of the organization, or the way to where they may be shown.

    :raises UnreadableError: where the organization, or the list of its contacts, is nowhere in the answer: that it has
        none must be said by an empty list.
    """
    body, alone = answer.json(), question.request.path == question.context
    shown = as_mapping(body)
    number = None if alone else next_number(as_mapping(shown.get("meta")), question.request)
    if alone and shown and "items" not in shown:
        # Asked for by its id, it need not show it.
        ours = [shown] if "id" not in shown and "contacts" in shown else those_of(question.context, [shown])
    else:
        ours = those_of(question.context, shown.get("items") if isinstance(body, dict) else body)
    if len(ours) > 1:
        raise UnreadableError("two organizations of one id")
    contacts = ours[0].get("contacts") if ours else None
    if isinstance(contacts, dict) and as_mapping(contacts.get("meta")).get("has_next") is False:
        contacts = contacts.get("items")
    if contacts is not None:
        return Page(contacts=contacts_of(contacts, contact_of))
    if ours and alone:
        number = 1
    elif ours or number is None:
        raise UnreadableError("the organization and its contacts are not shown")
    request = replace(question.request, path="/organizations", query=(("page", str(number)), ("size", "100")))
    return Page(contacts=(), more=replace(question, request=request))


def those_of(one: str, organizations: Any) -> list[Content]:
    """Return the organizations of a list that are the one of a path."""
    if not isinstance(organizations, list) or not all(isinstance(item, dict) for item in organizations):
        raise UnreadableError("no list of organizations")
    return [item for item in organizations if (shown := as_id(item.get("id"))) is not None and ends_path(one, shown)]


def contact_of(shown: Content) -> reads.Contact:
    """Return a contact as it would be sent."""
    id_, phone = as_id(shown.get("id")), shown.get("phone")
    if id_ is None or not isinstance(shown.get("name"), str):
        raise UnreadableError("a contact without an id or a name")
    fields: dict[str, Any] = {name: shown[name] for name in Contact.__annotations__ if name in shown}
    if fields.get("roles", []) is None:
        fields["roles"] = []
    if not isinstance(fields.get("roles", []), list) or not isinstance(phone, str | dict | None):
        raise UnreadableError("roles that are no list, or a phone that is none")
    if isinstance(phone, str):
        fields["phone"] = {"phoneNumber": phone}
    elif phone is not None:
        # The spelling of today wins over the older one.
        fields["phone"] = {new: phone[name] for new, old in PHONE for name in (old, new) if name in phone}
    return reads.Contact(id=id_, fields=fields)


VENDOR = Vendor(
    name="intermezzo",
    title="Intermezzo",
    docs_url="https://docs.intermezzo.ai/api-reference/core/create-multiple-contacts-in-bulk",
    base_url=lambda _account: "https://preview.intermezzo.ai",
    auth=client_credentials(
        "https://auth.intermezzo.ai/oauth/token", encoding="json", parameters={"audience": "https://api.intermezzo.ai"}
    ),
    destination=one_key(
        "organization_id", "Organization ID", "The organization that the contacts are attached to, such as org_…"
    ),
    contract=RecordContract(
        record=Contact,
        flat=(
            join("name", "first_name", "last_name"),
            wrap("phone", {"phone_number": "phoneNumber", "phone_type": ("phoneType", "mobile")}, many=False),
        ),
    ),
    # UNKNOWN: few enough that one lost answer leaves few in doubt; no rate limit is documented either.
    limits=Limits(batch_size=50, max_in_flight=8),
    # The last word of the path means bulk, and no slash follows (SEED).
    request_path=path("/organizations/{organization_id}/contacts/list"),
    envelope=(b"[", b"]"),
    read=read,
    refusal=(fastapi, other_shape),
    check=ORGANIZATION,
    read_back=ReadBack(questions=questions, read=read_contacts, identity=("email", "phone.phoneNumber")),
)
