"""Intermezzo: contacts of an organization, created in bulk by one array.

Marks: SEED, stated on the page of this very request
(docs.intermezzo.ai/api-reference/core/create-multiple-contacts-in-bulk); FOUND, stated on another page or capture,
which is named; INFERRED, deduced; UNKNOWN, nothing seen.

- Request, bearer token, bare array, the counters of the answer and the meaning of ``unprocessed``: SEED.
- ``name`` is required, ``email`` may be null, ``data`` and ``errors`` may be absent: FOUND (that page, newer capture).
- Token endpoint, JSON body, audience, ``expires_in``: FOUND (docs.intermezzo.ai/auth). Host and audience are not tied.
- An organization shows its contacts: FOUND (docs.intermezzo.ai/api-reference/core/list-orgs).
- The other shape of an error: FOUND (docs.intermezzo.ai/pagination). FastAPI's 422: INFERRED from the API's style.
- UNKNOWN: the largest array, rate limits, the values of ``phoneType`` and ``roles``, the error codes (any is read),
  what makes a record ``unprocessed``, the base of ``inputIndex`` (0 INFERRED; a sign of 1 makes its claims doubtful).

The created contacts carry no index, so they are told by content, never by position alone. That reading is most of this
file, which is long because a vendor is one file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Required
from urllib.parse import quote

from pydantic import ConfigDict, Field, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError, UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, Credential, bearer
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.fields import Email
from airflow_provider_contacts.vendor_kit.json_values import (
    as_count,
    as_id,
    as_list,
    as_mapping,
    as_text,
    doubt_all,
    fold_phone,
    fold_text,
)
from airflow_provider_contacts.vendor_kit.vendor import (
    Account,
    Again,
    ConnectionForm,
    Created,
    Destination,
    DestinationForm,
    Doubt,
    Limits,
    Payload,
    Rejected,
    Replies,
    Reply,
    Request,
    Response,
    Setting,
    Vendor,
)
from airflow_provider_contacts.vendors.intermezzo_reads import read_back

BASE_URL = "https://preview.intermezzo.ai"
TOKEN_URL = "https://auth.intermezzo.ai/oauth/token"  # noqa: S105  # an address, no secret
AUDIENCE = "https://api.intermezzo.ai"

UNSPECIFIED = "unspecified"
# A code is counted, logged and shown, so a sentence in its place (which may quote a record) must not become one.
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")
# National and international spellings of one number agree in their last digits.
PHONE_TAIL = 7


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


def shape(record: dict[str, Any]) -> dict[str, Any]:
    """Replace the flat names of a person and of one phone number."""
    parts = {part: record.pop(part) for part in ("first_name", "last_name") if part in record}
    wrong = [("wrong_type", part, "a text is wanted") for part, text in parts.items() if not isinstance(text, str)]
    if wrong:
        raise InvalidRecordError(wrong)
    if parts:
        record["name"] = " ".join(parts.values())
    kind = record.pop("phone_type", "mobile")
    if "phone_number" in record:
        record["phone"] = {"phoneNumber": record.pop("phone_number"), "phoneType": kind}
    return record


def auth(account: Account) -> Credential:
    """Return the client credentials, or the ready token of a connection without a login."""
    if not account.password:
        raise ConfigError(
            "an Intermezzo connection needs a password: the client secret, or, with an empty login, a bearer token"
        )
    if not account.login:
        return bearer(account.password)
    return ClientCredentials(
        token_url=account.extra.get("token_url") or TOKEN_URL,
        client_id=account.login,
        client_secret=account.password,
        encoding="json",
        parameters=(("audience", account.extra.get("audience") or AUDIENCE),),
    )


def organization_path(destination: Destination) -> str:
    """Return the path of the organization, its id percent-encoded."""
    organization = str(destination["organization_id"])
    # Encoding leaves these two as they are, and every URL parser would climb up by them.
    if organization in {"", ".", ".."}:
        raise ConfigError("organization_id must be the id of an Intermezzo organization, such as org_…")
    return f"/organizations/{quote(organization, safe='')}"


def request_path(destination: Destination) -> str:
    """Return the path of the create request; its last word means bulk, and no slash follows (SEED)."""
    return f"{organization_path(destination)}/contacts/list"


def check(destination: Destination) -> Request:
    """Return a read of the organization, or of all where the connection names none."""
    path = organization_path(destination) if destination.get("organization_id") else "/organizations"
    return Request("GET", path)


@dataclass(frozen=True, slots=True)
class Counters:
    """The four counters; an answer lacks them all if it lacks one."""

    total: int
    succeeded: int
    failed: int
    unprocessed: int

    def agree(self, sent: int, shown: int, named: int) -> bool:
        """Tell whether they fit each other and the lengths of what was sent, is shown in ``data``, and is named."""
        return (
            self.total == sent == self.succeeded + self.failed + self.unprocessed
            and self.succeeded == shown
            and self.failed == named
        )


@dataclass(frozen=True, slots=True)
class Named:
    """What ``errors`` says.

    :param reasons: of every index that can be one of ours; several entries of one index are merged.
    :param sound: whether every entry had such an index.
    :param shifted: whether an index equals the number of records, as it would if the vendor counted from one.
    """

    reasons: Mapping[int, tuple[RecordError, ...]]
    sound: bool
    shifted: bool


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return what the counters, the named errors and the shown contacts prove together.

    Three designs of the server fit the documentation: all or nothing, stop at the first error, and partial success.
    All three are read alike: named is rejected, shown is created, and the rest was not created if the counters, which
    must agree with everything, leave no other place for it.
    """
    try:
        body = as_mapping(answer.json())
    except UnreadableError:
        return doubt_all(len(sent), "unreadable")
    counters = read_counters(body)
    if counters is None or not counters.total:
        return doubt_all(len(sent), "counters_missing")
    named = read_errors(body.get("errors"), len(sent), counters.total)
    shown, shown_soundly = read_data(body.get("data"))
    reasons = {} if named.shifted else named.reasons
    pairs, contradicted = match(sent, shown, reasons)
    shifted = named.shifted or contradicted
    if contradicted:
        # What is named as refused is shown as created: whatever the indices mean, it is not what we take them for.
        reasons = {}
        pairs, _ = match(sent, shown, reasons)
    sound = named.sound and shown_soundly and counters.agree(len(sent), len(shown), len(named.reasons))
    other: Reply
    if shifted:
        other = Doubt("index_base")
    elif not sound:
        other = Doubt("counters_disagree")
    else:
        other = Again("unprocessed") if len(pairs) == len(shown) else Doubt("unmatched")
    return Replies.of(
        Rejected(reasons[index]) if index in reasons else Created(shown[pairs[index]][0]) if index in pairs else other
        for index in range(len(sent))
    )


def read_counters(body: Mapping[str, Any]) -> Counters | None:
    """Return the counters if all four are there."""
    found = [as_count(body.get(name)) for name in ("total", "succeeded", "failed", "unprocessed")]
    counts = [count for count in found if count is not None]
    return Counters(*counts) if len(counts) == len(found) else None


def read_errors(value: Any, count: int, total: int) -> Named:
    """Read ``[{"inputIndex", "errors": [{"code", "message", "field"}]}]``; null and nothing are an empty list."""
    entries = [] if value is None else as_list(value)
    reasons: dict[int, tuple[RecordError, ...]] = {}
    sound, shifted = entries is not None, False
    for entry in map(as_mapping, entries or ()):
        index = as_count(entry.get("inputIndex"))
        if index in {count, total}:
            shifted = True
        if index is None or index >= count:
            sound = False
            continue
        reasons[index] = reasons.get(index, ()) + tuple(map(read_reason, as_list(entry.get("errors")) or ()))
    merged = {index: found or (RecordError(UNSPECIFIED),) for index, found in reasons.items()}
    return Named(merged, sound=sound, shifted=shifted)


def read_reason(value: Any) -> RecordError:
    """Read one reason; a code that is a sentence becomes the message."""
    reason = as_mapping(value)
    code, message = reason.get("code"), as_text(reason.get("message"))
    return RecordError(code_of(code), as_text(reason.get("field")), message or as_text(code))


def code_of(value: Any) -> str:
    """Return a code; what has not the form of one is ``unspecified``."""
    return value if isinstance(value, str) and CODE.fullmatch(value) else UNSPECIFIED


def read_data(value: Any) -> tuple[list[tuple[str, dict[str, Any]]], bool]:
    """Return the created contacts by id, and whether ``data`` held nothing else; an id that comes twice proves none."""
    items = [] if value is None else as_list(value)
    contacts = [as_mapping(item) for item in items or ()]
    ids = [as_id(contact.get("id")) for contact in contacts]
    times = Counter(ids)
    shown = [(one, contact) for one, contact in zip(ids, contacts, strict=True) if one and times[one] == 1]
    return shown, items is not None and len(shown) == len(contacts)


def match(
    sent: Sequence[Payload], shown: Sequence[tuple[str, dict[str, Any]]], refused: Collection[int]
) -> tuple[dict[int, int], bool]:
    """Pair the records that were not refused with the shown contacts, by content.

    :return: index sent to index shown, and whether a contact that is shown is one of the refused.
    """
    pairs: dict[int, int] = {}
    free: Sequence[int] = range(len(shown))
    contradicted = False
    for key in (whole_content, lasting_content):
        open_indices = [index for index in range(len(sent)) if index not in refused and index not in pairs]
        pairs |= pair(sent, shown, open_indices, free, key)
        free = sorted(set(free).difference(pairs.values()))
        forbidden = {key(sent[index]) for index in refused}
        contradicted = contradicted or any(key(shown[place][1]) in forbidden for place in free)
    return pairs, contradicted


def pair(
    sent: Sequence[Payload],
    shown: Sequence[tuple[str, dict[str, Any]]],
    indices: Sequence[int],
    places: Sequence[int],
    key: Callable[[Mapping[str, Any]], Hashable],
) -> dict[int, int]:
    """Pair by a key as multisets; within a key letter for letter where that can be, else in order.

    Of records equal to the last sign any may stand for any other, so that some of them can be shown and some not; of
    others with one key it cannot be told which are shown, unless all are.
    """

    def letters(contact: Mapping[str, Any]) -> str:
        return repr([contact.get(name) for name in ("name", "email", "phone", "roles")])

    wanted: dict[Hashable, list[int]] = {}
    for index in sorted(indices, key=lambda index: letters(sent[index])):
        wanted.setdefault(key(sent[index]), []).append(index)
    found: dict[Hashable, list[int]] = {}
    for place in sorted(places, key=lambda place: letters(shown[place][1])):
        found.setdefault(key(shown[place][1]), []).append(place)
    pairs: dict[int, int] = {}
    for one, candidates in wanted.items():
        seen = found.get(one, [])
        interchangeable = all(sent[index] == sent[candidates[0]] for index in candidates)
        if len(seen) == len(candidates) or (interchangeable and len(seen) < len(candidates)):
            pairs.update(zip(candidates, seen, strict=False))
    return pairs


def whole_content(contact: Mapping[str, Any]) -> Hashable:
    """Return all that an answer shows of a contact, forgiving case, spaces and the writing of numbers."""
    roles = sorted(fold_text(role) for role in as_list(contact.get("roles")) or ())
    phone = fold_phone(as_mapping(contact.get("phone")).get("phoneNumber"))
    return fold_text(contact.get("name")), fold_text(contact.get("email")), phone, tuple(roles)


def lasting_content(contact: Mapping[str, Any]) -> Hashable:
    """Return what stays when the vendor adds roles or writes a number with its country."""
    phone = fold_phone(as_mapping(contact.get("phone")).get("phoneNumber"))
    return fold_text(contact.get("name")), fold_text(contact.get("email")), phone[-PHONE_TAIL:]


def read_refusal(answer: Response, sent: Sequence[Payload]) -> dict[int, tuple[RecordError, ...]]:
    """Read FastAPI's ``{"detail": [{"loc": ["body", 3, "email"], "msg", "type"}]}``: the number is the index.

    The other shape, ``{"error", "message", "details": {"field", "value"}}``, has no index: it names a lone record only.
    """
    body = refusal_body(answer)
    named: dict[int, tuple[RecordError, ...]] = {}
    for detail in map(as_mapping, as_list(body.get("detail")) or ()):
        parts = as_list(detail.get("loc")) or []
        parts = parts[1:] if parts[:1] == ["body"] else parts
        index = as_count(parts[0]) if parts else None
        if index is None or index >= len(sent):
            continue
        field = ".".join(str(part) for part in parts[1:] if isinstance(part, str | int)) or None
        error = RecordError(code_of(detail.get("type")), field, as_text(detail.get("msg")))
        named[index] = (*named.get(index, ()), error)
    if not named and len(sent) == 1 and as_text(body.get("error")):
        field = as_text(as_mapping(body.get("details")).get("field"))
        named[0] = (RecordError(code_of(body.get("error")), field, as_text(body.get("message"))),)
    return named


def refusal_code(answer: Response) -> str | None:
    """Return the type of FastAPI's first detail, or the ``error`` of the other shape."""
    body = refusal_body(answer)
    details = as_list(body.get("detail")) or [{}]
    for value in (as_mapping(details[0]).get("type"), body.get("error")):
        if (code := code_of(value)) != UNSPECIFIED:
            return code
    return None


def refusal_body(answer: Response) -> dict[str, Any]:
    """Return the object of a refusal, empty for anything else."""
    try:
        return as_mapping(answer.json())
    except UnreadableError:
        return {}


FORM = ConnectionForm(
    relabeling={"login": "Client ID", "password": "Client secret (or bearer token, with an empty client ID)"},
    placeholders={"host": BASE_URL, "token_url": TOKEN_URL, "audience": AUDIENCE},
    settings=(
        Setting(name="token_url", label="Token URL", description=f"Where tokens are requested. Default: {TOKEN_URL}"),
        Setting(name="audience", label="Audience", description=f"Audience of the token. Default: {AUDIENCE}"),
    ),
)

DESTINATION = DestinationForm(
    settings=(
        Setting(
            name="organization_id",
            label="Organization ID",
            description="The organization that the contacts are attached to, such as org_…",
        ),
    ),
    required=("organization_id",),
    object_key="organization_id",
)

VENDOR = Vendor(
    name="intermezzo",
    title="Intermezzo",
    docs_url="https://docs.intermezzo.ai/api-reference/core/create-multiple-contacts-in-bulk",
    form=FORM,
    base_url=lambda _account: BASE_URL,
    auth=auth,
    destination=DESTINATION,
    contract=RecordContract(
        record=Contact,
        shorthands={"first_name": "name", "last_name": "name", "phone_number": "phone", "phone_type": "phone"},
        shape=shape,
    ),
    # UNKNOWN: few enough that one lost answer leaves few in doubt; no rate limit is documented either.
    limits=Limits(batch_size=50, max_in_flight=8),
    request_path=request_path,
    envelope=(b"[", b"]"),
    read=read,
    read_refusal=read_refusal,
    refusal_code=refusal_code,
    check=check,
    read_back=read_back(organization_path),
    # What a 409 means is UNKNOWN: it may be that the contact exists.
    exists_codes=frozenset({"conflict"}),
)
