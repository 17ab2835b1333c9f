"""Nedzo: one contact a request, into an account and perhaps one of its contact lists.

Marks: SEED, stated on the page of this very request (docs.nedzo.ai/api-reference/contact/create-contact); FOUND, stated
on another page, which is named; INFERRED, deduced; UNKNOWN, nothing seen. Three generations of this API are on record.
This file speaks the second, ``/v1/contact/``; the third, ``/v1/contacts``, is newer and lives on the same host.

- Path with its slash, bearer key, one object a request, ``email`` alone required, everything else nullable, the
  answer's ``status_code``, ``message`` and ``data.contact``: SEED.
- The key is static, made in the dashboard for an account or a workspace, and no token endpoint exists: FOUND
  (docs.nedzo.ai/authentication). That it must be a workspace's, since the request names none: INFERRED.
- One write a second for each key, a burst as large as the account's concurrency limit, 429 with ``Retry-After``: FOUND
  for the third generation (docs.nedzo.ai/api-reference/introduction), so INFERRED here.
- ``GET /v1/workspaces``: FOUND, the third generation's, read by the vendor's own n8n node (repository
  mudit-nedzo/n8n-nodes-nedzo). Phones in E.164: FOUND for the third generation (docs.nedzo.ai/concepts/contacts).
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

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Required

from pydantic import ConfigDict, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.auth import api_key
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.destinations import get, in_records, path
from airflow_provider_contacts.vendor_kit.fields import Email, Flag, Uuid, check_uuid
from airflow_provider_contacts.vendor_kit.forms import one_key
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_mapping, as_text, fold_text
from airflow_provider_contacts.vendor_kit.refusals import Reason, fastapi, problem, reason, status_code
from airflow_provider_contacts.vendor_kit.shorthands import entries
from airflow_provider_contacts.vendor_kit.vendor import Again, Doubt, Limits, Rejected, Replies, Response, Stop, Vendor

# The same that their HTTP namesakes mean to every vendor: credential, plan or address are refused.
STOPPING = frozenset({*range(300, 400), 401, 402, 403, 404})


class CustomValue(TypedDict, total=False):
    """One value of a custom field; every value is a text, whatever the field's kind (SEED)."""

    custom_field_id: Required[Uuid]
    value: Required[StrictStr]


@with_config(ConfigDict(extra="forbid"))
class Contact(TypedDict, total=False):
    """The object of the request. ``full_name`` and ``full_address`` are fields of their own, not sums (SEED)."""

    email: Required[Email]
    contact_list_id: Uuid | None
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


def read(answer: Response, sent: Sequence[Mapping[str, Any]]) -> Replies:
    """Return what the body says, whatever the HTTP status next to it."""
    body = as_mapping(answer.json())
    if len(sent) != 1 or not body:
        return Replies.doubt(len(sent), "unreadable")
    message = as_text(body.get("message"))
    data = as_mapping(body.get("data"))
    contact = as_mapping(data.get("contact"))
    shown = as_id(contact.get("id"))
    evidence = shown or as_id(data.get("id"))
    status = as_count(body.get("status_code"))
    reply: Again | Doubt | Rejected | Stop
    if status is None:
        reply = Doubt("status_code_missing", message, evidence)
    elif not 200 <= status < 300:  # noqa: PLR2004  # RFC 9110
        contradicted = evidence or data.get("contact")
        reply = Doubt("contradiction", message, evidence) if contradicted else read_status(status, message)
    elif shown is None:
        reply = Doubt("no_id", message, evidence)
    elif "email" in contact and fold_text(contact["email"]) != fold_text(sent[0].get("email")):
        reply = Doubt("other_contact", message, shown)
    else:
        return Replies([shown])
    return Replies([None], {0: reply})


def read_status(status: int, message: str | None) -> Again | Doubt | Rejected | Stop:
    """Return what a ``status_code`` that is not 2xx means where no contact is shown."""
    code = status_code(status)
    if status in {425, 429}:
        return Again("rate_limited" if status == 429 else code, message, later=True)  # noqa: PLR2004
    if status in STOPPING:
        return Stop(code, message)
    # 408 is doubt because a proxy may say it of a request that was taken.
    if 400 <= status < 500 and status != 408:  # noqa: PLR2004
        return Rejected((RecordError(code, None, message),))
    return Doubt(code, message)


def own_envelope(body: Mapping[str, Any], status: int) -> Iterator[Reason]:
    """Read ``{"status_code", "message"}``: the inner status counts if it is a refusal."""
    inner = as_count(body.get("status_code"))
    if inner is not None or as_text(body.get("message")):
        refused = inner if inner is not None and status != 409 and 400 <= inner < 500 else status  # noqa: PLR2004
        yield Reason(None, reason(None, None, body.get("message"), status_code(refused)))


VENDOR = Vendor(
    name="nedzo",
    title="Nedzo",
    docs_url="https://docs.nedzo.ai/api-reference/contact/create-contact",
    base_url=lambda _account: "https://api.nedzo.ai",
    auth=api_key("sk_live_…"),
    destination=one_key(
        "contact_list_id",
        "Contact list ID",
        "UUID of the list that the contacts join; a list may belong to a campaign",
        required=False,
    ),
    contract=RecordContract(record=Contact, flat=(entries("custom_fields", "custom_field_id", "value"),)),
    # One a second and a burst are the third generation's (FOUND there, INFERRED here); the size of the burst is
    # UNKNOWN, so it is two, which is also as much as can be under way at that rate.
    limits=Limits(batch_size=1, max_in_flight=2, requests_per_second=1.0, burst=2),
    request_path=path("/v1/contact/"),
    envelope=(b"", b""),
    # A list that is no UUID would be refused with every single record.
    destination_fields=in_records("contact_list_id", check_uuid),
    read=read,
    # That a 409 says that a contact exists: INFERRED from the third generation.
    refusal=(fastapi, own_envelope, problem),
    check=get("/v1/workspaces"),
)
