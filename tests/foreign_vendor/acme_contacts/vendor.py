"""Acme: contacts of a folder.

Acme is made up; each fact of a vendor has a mark (SEED, FOUND, INFERRED, UNKNOWN) and its source.

- ``POST /folders/{id}/people`` with ``{"people": [...]}``, the key in a bearer header: SEED.
- The answer shows the people that were created, with ``id`` and what was sent: SEED. What is not shown: UNKNOWN.
- A refusal has FastAPI's ``detail``, which names each record by its place: INFERRED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Required

from pydantic import ConfigDict, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.vendor_kit.auth import api_key
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.destinations import get, path
from airflow_provider_contacts.vendor_kit.fields import Email
from airflow_provider_contacts.vendor_kit.forms import Setting, one_key
from airflow_provider_contacts.vendor_kit.json_values import as_list, as_mapping, fold_text
from airflow_provider_contacts.vendor_kit.matching import by, identified, matched
from airflow_provider_contacts.vendor_kit.refusals import fastapi
from airflow_provider_contacts.vendor_kit.shorthands import join
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Limits, Payload, Replies, Response, Vendor


@with_config(ConfigDict(extra="forbid"))
class Person(TypedDict, total=False):
    """One member of ``people``."""

    name: Required[StrictStr]
    email: Email


def content(person: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is shown of a person, for comparing."""
    return fold_text(person.get("name")), fold_text(person.get("email"))


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return who is among the people created."""
    items = as_list(as_mapping(answer.json()).get("people"))
    if items is None:
        return Replies.doubt(len(sent), "people_missing")
    return matched(sent, identified(items), (by(content),), Doubt("not_returned"))


VENDOR = Vendor(
    name="acme",
    title="Acme",
    docs_url="https://acme.example/docs",
    base_url=lambda account: f"https://{account.extra['region']}.acme.example",
    auth=api_key("acme_…"),
    settings=(Setting("region", "Region", "Where the account is", allowed=("eu", "us"), default="eu"),),
    destination=one_key("folder_id", "Folder ID", "The folder that the people join"),
    contract=RecordContract(record=Person, flat=(join("name", "first_name", "last_name"),)),
    limits=Limits(batch_size=10),
    request_path=path("/folders/{folder_id}/people"),
    envelope=(b'{"people":[', b"]}"),
    read=read,
    refusal=(fastapi,),
    check=get("/folders/{folder_id}", "/folders"),
)
