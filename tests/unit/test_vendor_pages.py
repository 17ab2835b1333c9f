"""The pages of docs/vendors, and docs/connections.md, say what the package declares."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_contacts import vendors
from airflow_provider_contacts.transport.connection import StoredConnection, Target, resolve
from airflow_provider_contacts.vendors.talkdesk import HOSTS
from tests.support.connection_tables import labels_of
from tests.support.pages import text_of
from tests.support.vendor_pages import PAGES, example_of, form_of, uri_of

HEADINGS = (
    "What a contact is there", "Create the key", "Make the connection", "Check it", "Push", "Fields",
    "Batches and pace", "Duplicates", "A lost answer", "Pitfalls", "Facts and their sources",
)  # fmt: skip
SOURCE = re.compile(r"\b(?:[a-z0-9-]+\.)+(?:com|ai|dev)/[\w./-]*\w|repository [\w-]+/[\w-]+|article \d+")
MARKS = {"SEED", "FOUND", "INFERRED", "UNKNOWN"}


def target_of(name: str, connection: Connection) -> Target:
    parts = ("host", "login", "password", "schema", "port")
    given: Mapping[str, Any] = {part: getattr(connection, part) for part in parts if getattr(connection, part)}
    return resolve(vendors.load(name), StoredConnection(conn_id="c", extra=connection.extra_dejson, **given))


def evidence_of(name: str) -> str:
    """Return the words at the top of a vendor's own files."""
    files = Path(vendors.__file__).parent.glob(f"{name}*.py")
    return "\n".join(file.read_text("utf-8").partition("from __future__")[0] for file in files)


def test_there_is_a_page_for_each_vendor() -> None:
    assert list(PAGES) == list(vendors.names())


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_the_same_sections(name: str) -> None:
    assert tuple(re.findall(r"^## (.+)$", PAGES[name].read_text("utf-8"), re.MULTILINE)) == HEADINGS


@pytest.mark.parametrize("name", PAGES)
def test_the_form_is_that_of_the_connection(name: str) -> None:
    form, vendor = form_of(name), vendors.load(name)
    labels = labels_of(vendor)
    assert dict(form) == {key: labels[key] for key in form}
    assert {*vendor.auth.labels, *(one.name for one in vendor.destination.settings)} <= form.keys()


@pytest.mark.parametrize("name", PAGES)
def test_json_and_uri_are_one_connection_that_the_form_can_make(name: str) -> None:
    example, form = example_of(name), form_of(name)
    assert example["conn_type"] == name
    assert {*example, *example.get("extra", {})} - {"conn_type", "extra"} <= form.keys()
    made = target_of(name, Connection.from_json(json.dumps(example), "c"))
    assert made == target_of(name, Connection.from_uri(uri_of(name), "c"))


@pytest.mark.parametrize("name", PAGES)
def test_batch_and_pace_are_those_of_the_vendor(name: str) -> None:
    limits = vendors.load(name).limits
    said = PAGES[name].read_text("utf-8").partition("## Batches and pace\n\n")[2].partition("##")[0]
    assert said.startswith("One contact" if limits.batch_size == 1 else f"{limits.batch_size} ")
    rate = limits.requests_per_second
    paced = "eight requests at the same time" if rate is None else f"{rate:g} requests a second"
    assert limits.max_in_flight == 8 or rate is not None
    assert ("one request a second" if rate == 1 else paced) in said.lower()


@pytest.mark.parametrize("name", PAGES)
def test_facts_have_a_mark_and_the_sources_of_the_vendors_file(name: str) -> None:
    _, _, section = PAGES[name].read_text("utf-8").partition("## Facts and their sources")
    marks = re.findall(r"^\| .+ \| ([A-Z]+) \|.*\|$", section, re.MULTILINE)
    assert set(marks) <= MARKS
    assert len(marks) == section.count("\n| ") - 2
    of_page, of_file = (set(SOURCE.findall(" ".join(text.split()))) for text in (section, evidence_of(name)))
    assert of_page == of_file


def test_the_hosts_of_every_region_are_in_the_reference() -> None:
    page = text_of("docs/connections.md")
    for region, (host, tokens) in HOSTS.items():
        assert f"| `{region}` | `{host}` | `https://<account>.{tokens}/oauth/token` |" in page
