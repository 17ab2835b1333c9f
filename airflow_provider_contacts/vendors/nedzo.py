"""Nedzo: one contact a request, into an account and perhaps one of its contact lists.

Marks: SEED, stated on the page of this very request (docs.nedzo.ai/api-reference/contact/create-contact); FOUND, stated
on another page, which is named; INFERRED, deduced; UNKNOWN, nothing seen. Three generations of this API are on record.
This file speaks the second, ``/v1/contact/``; the third, ``/v1/contacts``, is newer and lives on the same host.

- Path with its slash, bearer key, one object a request, ``email`` alone required, everything else nullable, the
  answer's ``status_code``, ``message`` and ``data.contact``: SEED.
- The key is static and no token endpoint exists: FOUND (docs.nedzo.ai/authentication).
- One write a second for each key, a burst as large as the account's concurrency limit, 429 with ``Retry-After``: FOUND
  for the third generation (docs.nedzo.ai/api-reference/introduction), so INFERRED here.
- ``GET /v1/workspaces``: FOUND, the third generation's, read by the vendor's own n8n node.
- RFC 7807 refusals: FOUND for the third generation (docs.nedzo.ai/api-reference/introduction). FastAPI's 422, the own
  envelope under a 4xx status, and that ``status_code`` may contradict the HTTP status: INFERRED.
- UNKNOWN: whether this generation is still served, lengths of texts, the rule for duplicates, any read of contacts.

Nothing is read back, so that what is in doubt stays in doubt. Of this generation the only answer known to show contacts
is that of ``PATCH /v1/contact-list/{id}`` (FOUND, docs.nedzo.ai/api-reference/contact-list/update-contact-list), which
is a write. The third's ``GET /v1/contacts`` (FOUND, docs.nedzo.ai/api-reference/contacts/list) has no filter by person,
and whether it shows what this one creates is UNKNOWN, so a contact that it does not show proves nothing.

A contact in a list may be called by a campaign, so a doubtful answer is never taken for success.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Required

from pydantic import ConfigDict, StrictStr, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import ConfigError, UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.auth import Credential, bearer
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.fields import Email, Flag, UuidText, check_uuid
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_list, as_mapping, as_text, doubt_all
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
    Stop,
    Vendor,
)

BASE_URL = "https://api.nedzo.ai"
PATH = "/v1/contact/"

# A code or a field is counted, logged and shown: a sentence in its place, which may quote a record, must not become
# one.
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")
FIELD = re.compile(r"[A-Za-z0-9_.-]{1,128}")

# The same that their HTTP namesakes mean to every vendor: credential, plan or address are refused.
STOPPING = frozenset({*range(300, 400), 401, 402, 403, 404})


class CustomValue(TypedDict, total=False):
    """One value of a custom field; every value is a text, whatever the field's kind (SEED)."""

    custom_field_id: Required[UuidText]
    value: Required[StrictStr]


@with_config(ConfigDict(extra="forbid"))
class Contact(TypedDict, total=False):
    """The object of the request. ``full_name`` and ``full_address`` are fields of their own, not sums (SEED)."""

    email: Required[Email]
    contact_list_id: UuidText | None
    first_name: StrictStr | None
    last_name: StrictStr | None
    full_name: StrictStr | None
    business_name: StrictStr | None
    full_address: StrictStr | None
    city: StrictStr | None
    country: StrictStr | None
    state: StrictStr | None
    postal_code: StrictStr | None
    phone: StrictStr | None
    job_title: StrictStr | None
    dnc: Flag | None
    custom_fields: list[CustomValue] | None


def shape(record: dict[str, Any]) -> dict[str, Any]:
    """Replace custom fields given as an object by the list of its members; an object without members is nothing."""
    custom = record.get("custom_fields")
    if isinstance(custom, Mapping):
        del record["custom_fields"]
        if custom:
            record["custom_fields"] = [{"custom_field_id": key, "value": value} for key, value in custom.items()]
    return record


def auth(account: Account) -> Credential:
    """Return the header of the API key."""
    if not account.password:
        raise ConfigError("a Nedzo connection needs a password: the API key, such as sk_live_…")
    return bearer(account.password)


def destination_fields(destination: Destination) -> Payload:
    """Return the contact list where one is given.

    :raises ConfigError: if it is no UUID, since every single record would be refused for it.
    """
    contact_list = destination.get("contact_list_id")
    if contact_list is None:
        return {}
    try:
        return {"contact_list_id": check_uuid(contact_list)}
    except PydanticCustomError:
        raise ConfigError("contact_list_id must be the UUID of a Nedzo contact list, 8-4-4-4-12 digits") from None


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return what the body says, whatever the HTTP status next to it."""
    if len(sent) != 1:
        return doubt_all(len(sent), "unreadable")
    return Replies.of([read_only(answer, sent[0])])


def read_only(answer: Response, payload: Payload) -> Reply:
    """Return the reply for the one record of a request."""
    body = body_of(answer)
    message = as_text(body.get("message"))
    data = as_mapping(body.get("data"))
    contact = as_mapping(data.get("contact"))
    shown = as_id(contact.get("id"))
    evidence = shown or as_id(data.get("id"))
    status = as_count(body.get("status_code"))
    if status is None:
        return Doubt("status_code_missing" if body else "unreadable", message, evidence)
    if not 200 <= status < 300:  # noqa: PLR2004  # RFC 9110
        if evidence or data.get("contact"):
            return Doubt("contradiction", message, evidence)
        return read_status(status, message)
    if shown is None:
        return Doubt("no_id", message, evidence)
    if "email" in contact and not same_email(contact["email"], payload.get("email")):
        return Doubt("other_contact", message, shown)
    return Created(shown)


def body_of(answer: Response) -> dict[str, Any]:
    """Return the object of an answer, empty for anything else."""
    try:
        return as_mapping(answer.json())
    except UnreadableError:
        return {}


def same_email(shown: Any, sent: Any) -> bool:
    """Tell whether two addresses are the same but for case."""
    return isinstance(shown, str) and isinstance(sent, str) and shown.casefold() == sent.casefold()


def read_status(status: int, message: str | None) -> Reply:
    """Return what a ``status_code`` that is not 2xx means where no contact is shown."""
    code = code_of(status)
    if status == 429:  # noqa: PLR2004
        return Again("rate_limited", message, later=True)
    if status == 425:  # noqa: PLR2004
        return Again(code, message, later=True)
    if status in STOPPING:
        return Stop(code, message)
    # 408 is doubt because a proxy may say it of a request that was taken.
    if 400 <= status < 500 and status != 408:  # noqa: PLR2004
        return Rejected((RecordError(code, None, message),))
    return Doubt(code, message)


def code_of(status: int) -> str:
    """Return the code of a refusing status; 409 says that such a contact exists (INFERRED)."""
    if status == 409:  # noqa: PLR2004
        return "conflict"
    return f"http_{status}" if status < 1000 else "unspecified"  # noqa: PLR2004  # a status has three digits


def read_refusal(answer: Response, sent: Sequence[Payload]) -> dict[int, tuple[RecordError, ...]]:
    """Return the reasons for the one record of a request, from any of the three shapes of a refusal."""
    found = reasons(answer)
    return {0: found} if found and len(sent) == 1 else {}


def refusal_code(answer: Response) -> str | None:
    """Return the first reason's code; a 409 is a ``conflict`` in every shape, and in none."""
    found = reasons(answer)
    if found:
        return found[0].code
    return code_of(answer.status) if answer.status == 409 else None  # noqa: PLR2004


def reasons(answer: Response) -> tuple[RecordError, ...]:
    """Return why the record was refused, nothing if no shape fits."""
    body = body_of(answer)
    details = as_list(body.get("detail"))
    if details:
        return tuple(read_detail(as_mapping(detail), answer.status) for detail in details)
    texts = [as_text(body.get(name)) for name in ("message", "detail", "title")]
    message = next((text for text in texts if text), None)
    # ``type`` is an address whose last part is the word, e.g. …/errors/validation-error.
    kind = (as_text(body.get("type")) or "").rstrip("/").rpartition("/")[2]
    status = as_count(body.get("status_code"))
    if message is None and not kind and status is None:
        return ()
    refused = status if status is not None and 400 <= status < 500 else answer.status  # noqa: PLR2004
    code = code_of(409 if answer.status == 409 else refused)  # noqa: PLR2004
    if code != "conflict" and CODE.fullmatch(kind) and kind != "about:blank":
        code = kind
    return (RecordError(code, None, message),)


def read_detail(detail: Mapping[str, Any], status: int) -> RecordError:
    """Read one of FastAPI's ``{"loc": ["body", "email"], "msg", "type"}``."""
    parts = as_list(detail.get("loc")) or []
    parts = parts[1:] if parts[:1] == ["body"] else parts
    field = ".".join(str(part) for part in parts if isinstance(part, str | int))
    kind = as_text(detail.get("type")) or ""
    fallback = code_of(status)
    return RecordError(
        kind if CODE.fullmatch(kind) and fallback != "conflict" else fallback,
        field if FIELD.fullmatch(field) else None,
        as_text(detail.get("msg")),
    )


VENDOR = Vendor(
    name="nedzo",
    title="Nedzo",
    docs_url="https://docs.nedzo.ai/api-reference/contact/create-contact",
    form=ConnectionForm(
        hidden=("login",),
        relabeling={"password": "API key"},
        placeholders={"host": BASE_URL, "password": "sk_live_…"},
    ),
    base_url=lambda _account: BASE_URL,
    auth=auth,
    destination=DestinationForm(
        settings=(
            Setting(
                name="contact_list_id",
                label="Contact list ID",
                description="UUID of the list that the contacts join; a list may belong to a campaign. Default: none",
            ),
        ),
        object_key="contact_list_id",
    ),
    contract=RecordContract(
        record=Contact,
        shape=shape,
    ),
    # One a second and a burst are the third generation's (FOUND there, INFERRED here); the size of the burst is
    # UNKNOWN, so it is two, which is also as much as can be under way at that rate.
    limits=Limits(batch_size=1, max_in_flight=2, requests_per_second=1.0, burst=2),
    request_path=lambda _destination: PATH,
    envelope=(b"", b""),
    destination_fields=destination_fields,
    read=read,
    read_refusal=read_refusal,
    refusal_code=refusal_code,
    check=lambda _destination: Request("GET", "/v1/workspaces"),
    # INFERRED from the third generation, where 409 says that a contact exists.
    exists_codes=frozenset({"conflict"}),
)
