"""Talkdesk record lists: records of an outbound dialer list, created in bulk.

Marks: SEED, stated on the page of this very request (docs.talkdesk.com/reference/record-lists-bulks); FOUND, stated on
another page, which is named; INFERRED, deduced; UNKNOWN, nothing seen.

- Envelope, fields with their limits, the answer 201 with its counters, embedded records and error words, the shape of
  400, 401, 403 and 404, the scope: SEED. The path: FOUND (the same page's address line).
- Base URLs: FOUND (docs.talkdesk.com/docs/how-to-guarantee-your-app-works-in-all-regions); further regions UNKNOWN.
- Client credentials for a whole account, of an OAuth client that is made in Builder: FOUND
  (docs.talkdesk.com/docs/authentication; its steps in docs.refold.ai/resources/integration-providers/talkdesk, a guide
  of another company). A new scope takes minutes, with 401 until then: FOUND (docs.talkdesk.com/docs/scopes).
- Tokens, one host an account and region, basic and form: FOUND (docs.talkdesk.com/reference/cc-basic). They live ten
  minutes: FOUND (docs.talkdesk.com/docs/authenticating-requests-and-authenticating-via-appconnect).
- Priority 10 is the highest: FOUND (support.talkdesk.com, article 360051868112).
- 100 records a request: INFERRED from the bounds of the counters. 409 means a busy list: INFERRED from
  docs.talkdesk.com/reference/update-record-lists.
- ``has_errors`` beside ``has_error``: FOUND for the bulk update (docs.talkdesk.com/reference/update-list-records).
- UNKNOWN: order and completeness of the embedded records, whether refused ones are embedded, the format of ``code`` and
  of ``fields[].name`` (``records[0].first_name`` INFERRED), rate limits, what ``extra_data`` may hold beyond texts.

The embedded records carry no index, so they are told by content; position only decides where content agrees with it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import ConfigError, UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.auth import client_credentials
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.destinations import get, path
from airflow_provider_contacts.vendor_kit.fields import Anything, Flag, Whole
from airflow_provider_contacts.vendor_kit.forms import Account, Setting, one_key
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_list, as_mapping, fold_phone, fold_text
from airflow_provider_contacts.vendor_kit.matching import Content, Shown, by, echo, in_order, matched
from airflow_provider_contacts.vendor_kit.refusals import Reason, indexed, reason, status_code
from airflow_provider_contacts.vendor_kit.shorthands import prefix, wrap
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Limits, Rejected, Replies, Reply, Response, Vendor
from airflow_provider_contacts.vendors.talkdesk_reads import READ_BACK

# By region, the host of the API and the end of the token hosts.
HOSTS = {
    "us": ("https://api.talkdeskapp.com", "talkdeskid.com"),
    "eu": ("https://api.talkdeskapp.eu", "talkdeskid.eu"),
    "ca": ("https://api.talkdeskappca.com", "talkdeskidca.com"),
}
ACCOUNT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

# How the documented words of a record's ``errors`` begin (SEED), and the field that each is about.
FIELDS = (
    ("PHONE_NUMBER", "phone_numbers"),
    ("FIRST_NAME", "first_name"),
    ("LAST_NAME", "last_name"),
    ("TIMEZONE", "timezone"),
    ("PRIORITY", "priority"),
    ("EXTERNAL", "external_id,external_provider"),
)


class PhoneNumber(TypedDict, total=False):
    """One of a record's numbers."""

    phone_number: Required[Annotated[StrictStr, Field(min_length=1, max_length=20)]]
    phone_type: Required[Literal["HOME", "OFFICE", "MOBILE", "EXTRA_1", "EXTRA_2", "EXTRA_3"]]


@with_config(ConfigDict(extra="forbid"))
class Record(TypedDict, total=False):
    """One member of ``records``. The deprecated ``phone_number`` is never sent: it is our flat name of a number."""

    phone_numbers: Required[Annotated[list[PhoneNumber], Field(min_length=1)]]
    first_name: Required[Annotated[StrictStr, Field(min_length=1, max_length=80)]]
    last_name: Required[Annotated[StrictStr, Field(min_length=1, max_length=80)]]
    timezone: Annotated[StrictStr, Field(min_length=1, max_length=35)]
    priority: Annotated[Whole, Field(ge=1, le=10)]
    external_provider: StrictStr
    external_id: StrictStr
    external_url: StrictStr
    sync_external_id: Flag
    extra_data: dict[StrictStr, Anything]


def hosts_of(account: Account) -> tuple[str, str]:
    """Return the hosts of the account's region."""
    return HOSTS[account.extra["region"]]


def token_url_of(account: Account) -> str:
    """Return where the account's tokens are minted."""
    name = str(account.extra.get("account") or "")
    if not ACCOUNT.fullmatch(name):
        raise ConfigError(
            "with a client id, the extra needs account, the first word of https://<account>.talkdeskid.com (letters, "
            "digits and hyphens), or token_url"
        )
    return f"https://{name}.{hosts_of(account)[1]}/oauth/token"


def read(answer: Response, sent: Sequence[Content]) -> Replies:
    """Return what the embedded records prove, or without any of them the counters.

    A record's own id and errors weigh more than ``has_error``; the counter of created records must leave room for them.
    """
    body = answer.json()
    embedded = as_mapping(body).get("_embedded")
    records = as_mapping(embedded).get("records")
    if not isinstance(body, dict) or not isinstance(embedded, dict | None) or not isinstance(records, list | None):
        raise UnreadableError("no object with a list of records")
    if not records:
        reply = read_counters(answer.status, body, len(sent))
        return Replies([None] * len(sent), dict.fromkeys(range(len(sent)), reply) if reply is not None else {})
    shown = list(map(as_mapping, records))
    ids = [as_id(record.get("id")) for record in shown]
    others = {place: reply for place, reply in enumerate(map(unconfirmed, shown, ids)) if reply is not None}
    times, total = Counter(ids), as_count(body.get("total_created"))
    created, refused = len(shown) - len(others), sum(isinstance(reply, Rejected) for reply in others.values())
    for place, id_ in enumerate(ids):
        if place not in others and times[id_] > 1:
            others[place] = Doubt("id_twice", id=id_)
        elif place not in others and total is not None and total < created:
            others[place] = Doubt("counters_disagree", id=id_)
        elif isinstance(others.get(place), Rejected) and total is not None and total > len(sent) - refused:
            others[place] = Doubt("counters_disagree")
    # A lone record may be shown by its id alone; of several, one that shows nothing could be any.
    in_place = in_order(agrees if len(sent) == 1 else tells_and_agrees)
    return matched(sent, Shown(ids, shown), (*STEPS, in_place), Doubt("unmatched"), others)


def read_counters(status: int, body: Mapping[str, Any], count: int) -> Reply | None:
    """Return what the counters alone prove of every record, ``None`` if all were created."""
    created = as_count(body.get("total_created"))
    total_errors = body.get("total_errors")
    errors = as_count(total_errors)
    flags = [body[name] for name in ("has_error", "has_errors") if body.get(name) is not None]
    if created is None or status not in {200, 201} or (errors is None and total_errors is not None):
        return Doubt("counters_missing")
    if created == count and not errors and all(flag is False for flag in flags):
        return None
    if created == 0 and errors != 0 and all(flag is True for flag in flags):
        return Rejected((RecordError("not_created"),))
    return Doubt("unmatched" if 0 < created < count else "counters_disagree")


def unconfirmed(record: Content, id_: str | None) -> Reply | None:
    """Return what an embedded record says of itself, ``None`` if it is created."""
    said = record.get("errors")
    if said in (None, "", []):
        return Doubt("no_id") if id_ is None else None
    listed = [said] if isinstance(said, str) else as_list(said) or []
    errors = [word for word in listed if isinstance(word, str) and word]
    if not errors:
        return Doubt("errors_unreadable", id=id_)
    if id_ is not None:
        return Doubt("contradiction", id=id_)
    fields = [next((field for start, field in FIELDS if word.startswith(start)), None) for word in errors]
    return Rejected(tuple(reason(word, field, None) for word, field in zip(errors, fields, strict=True)))


def whole_content(record: Content) -> Hashable | None:
    """Return all that is shown of a record, ``None`` if that is no more than its identity."""
    rest = [record.get(name) for name in ("timezone", "priority", "external_url", "sync_external_id", "extra_data")]
    return (identity(record), json.dumps(rest, sort_keys=True)) if any(value is not None for value in rest) else None


def identity(record: Content) -> Hashable:
    """Return names, numbers and external reference."""
    return names(record), phones(record), reference(record)


def reference(record: Content) -> Hashable | None:
    """Return the external reference, ``None`` without one."""
    external = as_id(record.get("external_id"))
    return (as_id(record.get("external_provider")), external) if external else None


def person(record: Content) -> Hashable | None:
    """Return what stays when the vendor writes a number with its country; ``None`` without name or number."""
    tails = phones(record, tail=True)
    return (names(record), tails) if any(names(record)) and any(tails) else None


def names(record: Content) -> tuple[str, str]:
    """Return first and last name for comparing."""
    return fold_text(record.get("first_name")), fold_text(record.get("last_name"))


def phones(record: Content, *, tail: bool = False) -> tuple[str, ...]:
    """Return all numbers for comparing, sorted; the deprecated single number counts where there is no list."""
    listed = [as_mapping(phone).get("phone_number") for phone in as_list(record.get("phone_numbers")) or ()]
    numbers = listed or [record.get("phone_number")]
    return tuple(sorted(filter(None, (fold_phone(one, tail=tail) for one in numbers))))


def agrees(record: Content, content: Content) -> bool:
    """Tell whether nothing that an embedded record shows of names, numbers and reference speaks against a record."""
    for name in ("first_name", "last_name"):
        if content.get(name) is not None and fold_text(content[name]) != fold_text(record.get(name)):
            return False
    for name in ("external_provider", "external_id"):
        if content.get(name) is not None and name in record and as_id(content[name]) != record[name]:
            return False
    return not phones(content) or phones(content, tail=True) == phones(record, tail=True)


def tells_and_agrees(record: Content, content: Content) -> bool:
    """Tell whether an embedded record shows something, and nothing that speaks against a record."""
    return bool(any(names(content)) or phones(content) or reference(content)) and agrees(record, content)


STEPS = (echo(Record.__annotations__), *(by(key, agree=agrees) for key in (whole_content, identity, reference, person)))


def named_fields(body: Mapping[str, Any], status: int) -> Iterator[Reason]:
    """Read ``{"code", "message", "fields": [{"name", "description"}]}``; that names have an index: INFERRED."""
    code, message = body.get("code"), body.get("message")
    for entry in map(as_mapping, as_list(body.get("fields")) or ()):
        place, field = indexed(entry.get("name"), "records")
        yield Reason(place, reason(code, field, as_id(entry.get("description")) or message, status_code(status)))
    if not body.get("fields") and (message or code):
        yield Reason(None, reason(code, None, message, status_code(status)))


VENDOR = Vendor(
    name="talkdesk",
    title="Talkdesk",
    docs_url="https://docs.talkdesk.com/reference/record-lists-bulks",
    base_url=lambda account: hosts_of(account)[0],
    auth=client_credentials(
        token_url_of, "by account and region", method="client_secret_basic", scope="record-lists:manage"
    ),
    settings=(
        Setting(
            "region",
            "Region",
            "Chooses the hosts of API and tokens; elsewhere give host and token URL",
            allowed=tuple(HOSTS),
            default="us",
        ),
        Setting(
            "account",
            "Account",
            "The first word of https://<account>.talkdeskid.com, where tokens are requested, such as my-company. "
            "Needed with a client ID, unless there is a token URL",
        ),
    ),
    destination=one_key("record_list_id", "Record list ID", "The record list that the records join"),
    contract=RecordContract(
        record=Record,
        flat=(
            wrap("phone_numbers", {"phone_number": "phone_number", "phone_type": ("phone_type", "MOBILE")}),
            prefix("extra_data"),
        ),
    ),
    # 100 is INFERRED; no rate limit is documented, and few requests at a time are kind to a list that can be busy.
    limits=Limits(batch_size=100, max_in_flight=8),
    request_path=path("/record-lists/{record_list_id}/records/bulks"),
    envelope=(b'{"records":[', b"]}"),
    read=read,
    refusal=(named_fields,),
    again_statuses=frozenset({409}),
    check=get("/record-lists/{record_list_id}", "/record-lists"),
    read_back=READ_BACK,
)
