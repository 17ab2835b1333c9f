"""Talkdesk record lists: records of an outbound dialer list, created in bulk.

Marks: SEED, stated on the page of this very request (docs.talkdesk.com/reference/record-lists-bulks); FOUND, stated on
another page, which is named; INFERRED, deduced; UNKNOWN, nothing seen.

- Envelope, fields with their limits, the answer 201 with its counters, embedded records and error words, the shape of
  400, 401, 403 and 404, the scope: SEED. The path: FOUND (the same page's address line).
- Base URLs: FOUND (docs.talkdesk.com/docs/how-to-guarantee-your-app-works-in-all-regions); further regions UNKNOWN.
- Tokens, one host an account and region, basic and form: FOUND (docs.talkdesk.com/reference/cc-basic).
- Priority 10 is the highest: FOUND (support.talkdesk.com, article 360051868112).
- 100 records a request: INFERRED from the bounds of the counters. 409 means a busy list: INFERRED from
  docs.talkdesk.com/reference/update-record-lists.
- ``has_errors`` beside ``has_error``: FOUND for the bulk update (docs.talkdesk.com/reference/update-list-records).
- UNKNOWN: order and completeness of the embedded records, whether refused ones are embedded, the format of ``code`` and
  of ``fields[].name`` (``records[0].first_name`` INFERRED), rate limits, what ``extra_data`` may hold beyond texts.

The embedded records carry no index, so they are told by content; position only decides where content agrees with it.
That reading is most of this file, which is long because a vendor is one file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, Required
from urllib.parse import quote

from msgspec import Struct
from pydantic import ConfigDict, Field, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError, UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, Credential, bearer
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.fields import Anything, Flag, Whole
from airflow_provider_contacts.vendor_kit.json_values import (
    as_count,
    as_id,
    as_list,
    as_mapping,
    as_text,
    doubt_all,
    fold_phone,
    fold_text,
    is_echo,
)
from airflow_provider_contacts.vendor_kit.vendor import (
    Account,
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
from airflow_provider_contacts.vendors.talkdesk_reads import read_back

BASE_URLS = MappingProxyType(
    {
        "us": "https://api.talkdeskapp.com",
        "eu": "https://api.talkdeskapp.eu",
        "ca": "https://api.talkdeskappca.com",
    }
)
TOKEN_HOSTS = MappingProxyType({"us": "talkdeskid.com", "eu": "talkdeskid.eu", "ca": "talkdeskidca.com"})
ACCOUNT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
SCOPE = "record-lists:manage"

EXTRA = "extra_data."
"""Begins the flat name of one member of ``extra_data``."""

EXTERNAL = "external_id,external_provider"
FIELDS = MappingProxyType(
    {
        "PHONE_NUMBER_INVALID": "phone_numbers",
        "PHONE_NUMBER_MISSING": "phone_numbers",
        "PHONE_NUMBER_NOT_UNIQUE": "phone_numbers",
        "FIRST_NAME_INVALID": "first_name",
        "FIRST_NAME_MISSING": "first_name",
        "LAST_NAME_INVALID": "last_name",
        "LAST_NAME_MISSING": "last_name",
        "TIMEZONE_INVALID": "timezone",
        "TIMEZONE_MISSING": "timezone",
        "TIMEZONE_UNMATCHED": "timezone",
        "PRIORITY_INVALID": "priority",
        "EXTERNAL_REF_MISSING": EXTERNAL,
        "EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE": EXTERNAL,
    }
)
"""The documented words of a record's ``errors`` (SEED) and the field that each is about; ``OTHER`` is about none."""

EXISTS = frozenset({"PHONE_NUMBER_NOT_UNIQUE", "EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE"})
"""A record with this number or reference is in the list already, or was in the same request (SEED by their names)."""

UNSPECIFIED = "unspecified"
# A code or a field is counted, logged and shown: a sentence in its place, which may quote a record, must not become
# one, nor a number as long as a telephone's.
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}|[0-9]{1,9}")
FIELD = re.compile(r"[A-Za-z0-9_.-]{1,128}")
INDEXED = re.compile(r"(?:\$\.|body\.|/)?records(?:\[([0-9]{1,6})\]|[./]([0-9]{1,6}))(?:[./](.*))?")
# National and international spellings of one number agree in their last digits.
PHONE_TAIL = 7


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


def shape(record: dict[str, Any]) -> dict[str, Any]:
    """Replace the flat names of the first number and of the members of ``extra_data``.

    A type without a number says nothing and is dropped: flat rows often have one.
    """
    kind = record.pop("phone_type", "MOBILE")
    if "phone_number" in record:
        record["phone_numbers"] = [{"phone_number": record.pop("phone_number"), "phone_type": kind}]
    flat = [name for name in record if name.startswith(EXTRA)]
    if EXTRA in flat:
        raise InvalidRecordError([("unknown_field", EXTRA, "the name of a member of extra_data is missing")])
    if flat:
        record["extra_data"] = {name.removeprefix(EXTRA): record.pop(name) for name in flat}
    return record


def region_of(account: Account) -> str:
    """Return the account's region, ``us`` where none is given."""
    region = str(account.extra.get("region") or "us")
    if region not in BASE_URLS:
        raise ConfigError(f"region must be one of {', '.join(BASE_URLS)}; for another one give host and token_url")
    return region


def auth(account: Account) -> Credential:
    """Return the client credentials, or the ready token of a connection without a login."""
    if not account.password:
        raise ConfigError(
            "a Talkdesk connection needs a password: the client secret, or, with an empty login, a bearer token"
        )
    if not account.login:
        return bearer(account.password)
    return ClientCredentials(
        token_url=account.extra.get("token_url") or token_url_of(account),
        client_id=account.login,
        client_secret=account.password,
        method="client_secret_basic",
        encoding="form",
        scope=account.extra.get("scope") or SCOPE,
    )


def token_url_of(account: Account) -> str:
    """Return where the account's tokens are minted."""
    name = str(account.extra.get("account") or "")
    if not ACCOUNT.fullmatch(name):
        raise ConfigError(
            "a Talkdesk connection with a client id needs in its extra account, the first word of "
            "https://<account>.talkdeskid.com (letters, digits and hyphens), or token_url"
        )
    return f"https://{name}.{TOKEN_HOSTS[region_of(account)]}/oauth/token"


def list_path(destination: Destination) -> str:
    """Return the path of the record list, its id percent-encoded."""
    record_list = str(destination["record_list_id"])
    # Encoding leaves these two as they are, and every URL parser would climb up by them.
    if record_list in {"", ".", ".."}:
        raise ConfigError("record_list_id must be the id of a Talkdesk record list")
    return f"/record-lists/{quote(record_list, safe='')}"


def request_path(destination: Destination) -> str:
    """Return the path of the create request; no slash follows."""
    return f"{list_path(destination)}/records/bulks"


def check(destination: Destination) -> Request:
    """Return a read of the record list, or of all where the connection names none."""
    return Request("GET", list_path(destination) if destination.get("record_list_id") else "/record-lists")


class Shown(Struct, frozen=True, gc=False):
    """One embedded record.

    :param errors: its error words, none if it is said to be fine; ``None`` where what stands there cannot be read.
    """

    content: Mapping[str, Any]
    id: str | None
    errors: tuple[str, ...] | None

    @property
    def fate(self) -> Hashable:
        """What became of the record, whichever it is."""
        return self.id is None, self.errors


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return what the embedded records prove, or without any of them the counters.

    A record's own id and errors weigh more than ``has_error``; the counter of created records must leave room for them.
    """
    try:
        body = answer.json()
    except UnreadableError:
        return doubt_all(len(sent), "unreadable")
    embedded = as_mapping(body).get("_embedded")
    records = as_mapping(embedded).get("records")
    if not isinstance(body, dict) or not isinstance(embedded, dict | None) or not isinstance(records, list | None):
        return doubt_all(len(sent), "unreadable")
    if not records:
        return Replies.of([read_counters(answer.status, body, len(sent))] * len(sent))
    shown = [read_shown(as_mapping(record)) for record in records]
    times = Counter(one.id for one in shown)
    total = as_count(body.get("total_created"))
    pairs = match(sent, shown)
    fine = sum(one.errors == () and one.id is not None for one in shown)
    refused = sum(bool(one.errors) for one in shown)
    doubted = total is not None and total < fine, total is not None and total > len(sent) - refused
    return Replies.of(
        read_record(shown[pairs[index]], times, doubted) if index in pairs else Doubt("unmatched")
        for index in range(len(sent))
    )


def read_counters(status: int, body: Mapping[str, Any], count: int) -> Reply:
    """Return what the counters alone prove of every record: all were created, or none was."""
    created = as_count(body.get("total_created"))
    total_errors = body.get("total_errors")
    errors = as_count(total_errors)
    flags = [body[name] for name in ("has_error", "has_errors") if body.get(name) is not None]
    if created is None or status not in {200, 201} or (errors is None and total_errors is not None):
        return Doubt("counters_missing")
    if created == count and not errors and all(flag is False for flag in flags):
        return Created()
    if created == 0 and errors != 0 and all(flag is True for flag in flags):
        return Rejected((RecordError("not_created"),))
    return Doubt("unmatched" if 0 < created < count else "counters_disagree")


def read_shown(record: Mapping[str, Any]) -> Shown:
    """Return what an embedded record says of itself."""
    return Shown(record, as_id(record.get("id")), read_errors(record.get("errors")))


def read_errors(value: Any) -> tuple[str, ...] | None:
    """Return the error words of a list, or of a lone text; ``None`` for what is neither."""
    if value is None or value in ("", []):
        return ()
    items = [value] if isinstance(value, str) else as_list(value) or []
    return tuple(item for item in items if isinstance(item, str) and item) or None


def read_record(shown: Shown, times: Mapping[str | None, int], doubted: tuple[bool, bool]) -> Reply:
    """Return the reply for the record behind an embedded one.

    :param times: how often each id is shown.
    :param doubted: whether the counter contradicts the records shown as created, and those shown as refused.
    """
    if shown.errors is None:
        return Doubt("errors_unreadable", id=shown.id)
    if shown.errors and shown.id is not None:
        return Doubt("contradiction", id=shown.id)
    if shown.errors:
        return Doubt("counters_disagree") if doubted[1] else Rejected(tuple(map(error_of, shown.errors)))
    if shown.id is None:
        return Doubt("no_id")
    if times[shown.id] > 1:
        return Doubt("id_twice", id=shown.id)
    return Doubt("counters_disagree", id=shown.id) if doubted[0] else Created(shown.id)


def error_of(word: str) -> RecordError:
    """Return an error word with its field; one that is not documented stays as it is, a sentence as the message."""
    return RecordError(word, FIELDS.get(word)) if CODE.fullmatch(word) else RecordError(UNSPECIFIED, None, word)


def match(sent: Sequence[Payload], shown: Sequence[Shown]) -> dict[int, int]:
    """Pair records with embedded ones by content, from the whole of it to what survives reformatting."""
    if is_echo(sent, [one.content for one in shown], VENDOR.contract.fields):
        return {index: index for index in range(len(sent))}
    pairs: dict[int, int] = {}
    for key in (whole_content, identity, reference, person):
        wanted = [index for index in range(len(sent)) if index not in pairs]
        free = sorted(set(range(len(shown))).difference(pairs.values()))
        pairs |= pair(sent, shown, wanted, free, key)
    return pairs | pair_by_place(sent, shown, pairs)


def pair_by_place(sent: Sequence[Payload], shown: Sequence[Shown], pairs: Mapping[int, int]) -> dict[int, int]:
    """Pair what is left by position, where content agrees.

    The answer must have a place for every record, and all that content tells must stand in their own. A record that
    agrees with several embedded ones is paired only if all of them met the same fate.
    """
    if len(shown) != len(sent) or any(index != place for index, place in pairs.items()):
        return {}
    left = [index for index in range(len(sent)) if index not in pairs]
    found: dict[int, int] = {}
    for index in left:
        own = shown[index]
        if not agrees(sent[index], own.content) or not (tells(own.content) or len(sent) == 1):
            continue
        fates = {shown[place].fate for place in left if agrees(sent[index], shown[place].content)}
        if len(fates) == 1:
            found[index] = index
    return found


def pair(
    sent: Sequence[Payload],
    shown: Sequence[Shown],
    wanted: Sequence[int],
    free: Sequence[int],
    key: Callable[[Mapping[str, Any]], Hashable | None],
) -> dict[int, int]:
    """Pair by a key as multisets; a key that does not come equally often on both sides proves nothing.

    Records of one key that are not equal to the last sign are told apart by nothing but their place in the answer,
    which may give them their ids, but never decides who was created and who was not.
    """
    groups: dict[Hashable, tuple[list[int], list[int]]] = {}
    for index in wanted:
        groups.setdefault(key(sent[index]), ([], []))[0].append(index)
    for place in free:
        groups.setdefault(key(shown[place].content), ([], []))[1].append(place)
    pairs: dict[int, int] = {}
    for one, (indices, places) in groups.items():
        if one is None or len(indices) != len(places):
            continue
        found = dict(zip(indices, places, strict=True))
        texts = {json_text(sent[index]) for index in indices}
        alike = len(indices) == 1 or (len(texts) == 1 and None not in texts)
        in_place = len(sent) == len(shown) and indices == places and len({shown[place].fate for place in places}) == 1
        if (alike or in_place) and all(agrees(sent[index], shown[place].content) for index, place in found.items()):
            pairs |= found
    return pairs


def whole_content(record: Mapping[str, Any]) -> Hashable | None:
    """Return all that is shown of a record, ``None`` if that is no more than its identity."""
    rest = [record.get(name) for name in ("timezone", "priority", "external_url", "sync_external_id", "extra_data")]
    text = json_text(rest)
    return (identity(record), text) if text and any(value is not None for value in rest) else None


def identity(record: Mapping[str, Any]) -> Hashable:
    """Return names, numbers and external reference."""
    return names(record), phones(record), reference(record)


def reference(record: Mapping[str, Any]) -> Hashable | None:
    """Return the external reference, ``None`` without one."""
    external = as_id(record.get("external_id"))
    return (as_text(record.get("external_provider")), external) if external else None


def person(record: Mapping[str, Any]) -> Hashable | None:
    """Return what stays when the vendor writes a number with its country; ``None`` without name or number."""
    tails = phone_tails(record)
    return (names(record), tails) if any(names(record)) and any(tails) else None


def names(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return first and last name for comparing."""
    return fold_text(record.get("first_name")), fold_text(record.get("last_name"))


def phones(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the digits of all numbers, sorted; the deprecated single number counts where there is no list."""
    listed = [as_mapping(phone).get("phone_number") for phone in as_list(record.get("phone_numbers")) or ()]
    return tuple(sorted(filter(None, map(fold_phone, listed or [record.get("phone_number")]))))


def phone_tails(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the last digits of all numbers, sorted."""
    return tuple(sorted(digits[-PHONE_TAIL:] for digits in phones(record)))


def tells(content: Mapping[str, Any]) -> bool:
    """Tell whether an embedded record shows anything by which it could be known."""
    return bool(any(names(content)) or phones(content) or reference(content))


def agrees(record: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    """Tell whether nothing that an embedded record shows of names, numbers and reference speaks against a record."""
    for name in ("first_name", "last_name"):
        if content.get(name) is not None and fold_text(content[name]) != fold_text(record.get(name)):
            return False
    for name in ("external_provider", "external_id"):
        if content.get(name) is not None and name in record and as_id(content[name]) != record[name]:
            return False
    return not phones(content) or phone_tails(content) == phone_tails(record)


def json_text(value: Any) -> str | None:
    """Return one text for equal values, ``None`` for one that is nested too deep to compare."""
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError:
        return None


def read_refusal(answer: Response, sent: Sequence[Payload]) -> dict[int, tuple[RecordError, ...]]:
    """Return the records that ``fields`` names as ``records[0].first_name`` (INFERRED), and why.

    One index beyond what was sent means that indices are not what we take them for, so that none counts. A lone record
    is meant by whatever is named.
    """
    body = refusal_body(answer)
    message = as_text(body.get("message"))
    code = code_of(body.get("code")) or f"http_{answer.status}"
    named: dict[int, tuple[RecordError, ...]] = {}
    for entry in map(as_mapping, as_list(body.get("fields")) or ()):
        name = as_text(entry.get("name")) or ""
        found = INDEXED.fullmatch(name)
        index = int(found[1] or found[2]) if found else None
        if len(sent) == 1:
            index = 0
        if index is None:
            continue
        if index >= len(sent):
            return {}
        error = RecordError(code, field_of(found[3] if found else name), as_text(entry.get("description")) or message)
        named[index] = (*named.get(index, ()), error)
    if not named and len(sent) == 1 and (message or body.get("code")):
        named[0] = (RecordError(code, None, message),)
    return named


def field_of(name: str | None) -> str | None:
    """Return a field's dotted path, ``None`` for what has not the form of one."""
    dotted = re.sub(r"\[([0-9]+)\]", r".\1", name or "").replace("/", ".")
    return dotted if FIELD.fullmatch(dotted) else None


def refusal_code(answer: Response) -> str | None:
    """Return the refusal's ``code`` where it has the form of one."""
    return code_of(refusal_body(answer).get("code"))


def code_of(value: Any) -> str | None:
    """Return a code, ``None`` for what has not the form of one."""
    text = as_id(value)
    return text if text and CODE.fullmatch(text) else None


def refusal_body(answer: Response) -> dict[str, Any]:
    """Return the object of a refusal, empty for anything else."""
    try:
        return as_mapping(answer.json())
    except UnreadableError:
        return {}


FORM = ConnectionForm(
    relabeling={"login": "Client ID", "password": "Client secret (or bearer token, with an empty client ID)"},
    placeholders={"host": BASE_URLS["us"], "region": "us", "account": "my-company", "scope": SCOPE},
    settings=(
        Setting(
            name="region",
            label="Region",
            description="Chooses the hosts of the API and of the tokens. Default: us",
            allowed=tuple(BASE_URLS),
            default="us",
        ),
        Setting(
            name="account",
            label="Account",
            description="The first word of https://<account>.talkdeskid.com, where tokens are requested: needed with a "
            "client ID, unless there is a token URL. Default: none",
        ),
        Setting(
            name="token_url",
            label="Token URL",
            description="Where tokens are requested. Default: by account and region",
        ),
        Setting(name="scope", label="Scope", description=f"Scope of the token. Default: {SCOPE}"),
    ),
)

DESTINATION = DestinationForm(
    settings=(
        Setting(name="record_list_id", label="Record list ID", description="The record list that the records join"),
    ),
    required=("record_list_id",),
    object_key="record_list_id",
)

VENDOR = Vendor(
    name="talkdesk",
    title="Talkdesk",
    docs_url="https://docs.talkdesk.com/reference/record-lists-bulks",
    form=FORM,
    base_url=lambda account: BASE_URLS[region_of(account)],
    auth=auth,
    destination=DESTINATION,
    contract=RecordContract(
        record=Record,
        shorthands={"phone_number": "phone_numbers", "phone_type": "phone_numbers", f"{EXTRA}*": "extra_data"},
        shape=shape,
    ),
    # 100 is INFERRED; no rate limit is documented, and few requests at a time are kind to a list that can be busy.
    limits=Limits(batch_size=100, max_in_flight=8),
    request_path=request_path,
    envelope=(b'{"records":[', b"]}"),
    read=read,
    read_refusal=read_refusal,
    refusal_code=refusal_code,
    again_statuses=frozenset({409}),
    check=check,
    read_back=read_back(list_path),
    exists_codes=EXISTS,
)
