"""What holds of every vendor that is read back, whatever it answers."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_contacts import conformance, vendors
from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.vendor_kit.reads import Page, Question
from airflow_provider_contacts.vendor_kit.vendor import Destination, Response
from tests.support.reading_back import at, create, ids_of, payloads, read_all, verdicts, words
from tests.support.vendors import words_of

NAMES = tuple(name for name in vendors.names() if vendors.load(name).read_back is not None)

DESTINATIONS: Mapping[str, Destination] = {
    "apptoto": {"address_book_id": 1},
    "dex": {},
    "intermezzo": {"organization_id": "org_demo"},
    "talkdesk": {"record_list_id": "demo-list"},
}
ROWS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "apptoto": [{"name": "Ann Ames", "phone": "650-555-1212", "email": "ann@example.com"}],
    "dex": [{"full_name": "Ann Ames", "email": "ann@example.com", "company": "Acme", "birthday": "1990-05-01"},
        {"first_name": "Bob", "last_name": "Bell", "phone_number": "+1 650 555 1212", "job_title": "Dentist"},
        {"id": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "full_name": "Cat Cole", "email": "cat@example.com"}],
    "intermezzo": [{"name": "Ann Ames", "email": "ann@example.com"},
        {"name": "Bob Bell", "phone_number": "+44 7911 123456", "roles": ["admin"]}],
    "talkdesk": [{"first_name": "Ann", "last_name": "Ames", "phone_number": "+351929312319", "external_id": "1",
        "priority": 7, "timezone": "Europe/Lisbon", "external_provider": "crm", "extra_data.plan": "gold"},
        {"first_name": "Bob", "last_name": "Bell", "phone_number": "+351929312320"}, {"first_name": "Cat",
        "last_name": "Cole", "phone_number": "+351929312321"}],
}  # fmt: skip
NOBODIES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "apptoto": [{"name": "Nobody"}],
    "dex": [{"first_name": "No", "last_name": "Body"}],
    "intermezzo": [{"name": "Nobody", "email": "nobody@example.com"}],
    "talkdesk": [{"first_name": "No", "last_name": "Body", "phone_number": "+351900000000"}],
}
KNOBS: Mapping[str, Mapping[str, Any]] = {
    "dex": {"dex.page_size": 2},
    "intermezzo": {"intermezzo.contacts_in_organization": False, "intermezzo.paging": "items"},
    "talkdesk": {"talkdesk.page_size": 2},
}


def real_answers(name: str) -> list[tuple[Response, Question]]:
    """Return true answers of the simulator to questions about contacts that are there, and one that is not."""
    vendor, destination = vendors.load(name), DESTINATIONS[name]
    simulator = Simulator(KNOBS.get(name))
    sent = payloads(vendor, destination, ROWS[name])
    create(simulator, vendor, destination, sent)
    strangers = [{**one, "external_id": "99"} for one in sent if name in {"apptoto", "talkdesk"}]
    return read_all(vendor, at(simulator, vendor), destination, [*sent, *strangers[:1]]).answers


ANSWERS = {name: real_answers(name) for name in NAMES}
WORDS = sorted(
    set().union(*(words_of(answer.json()) for found in ANSWERS.values() for answer, _ in found if answer.status == 200))
)
SCALARS = st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | st.text(max_size=4)
TELLING = ["ann@example.com", "Ann Ames", "demo-list", "org_demo", "2026-01-02T03:04:05Z", "?page=2"]
JSON = st.recursive(
    SCALARS | st.sampled_from(TELLING),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=20,
)


def read(name: str, answer: Response, question: Question) -> Page | None:
    """Return the page, ``None`` for an answer that is none; nothing else may come of any bytes."""
    try:
        page = words(vendors.load(name)).read(answer, question)
    except UnreadableError:
        return None
    assert isinstance(page, Page)
    assert all(contact.id and isinstance(contact.id, str) for contact in page.contacts)
    assert all(one.created_at is None or one.created_at.tzinfo is not None for one in page.contacts)
    if page.more is not None:
        assert page.more.about == question.about
        assert page.more.request.path.startswith("/")
        for part in (value for pair in page.more.request.query for value in pair):
            part.encode()
    return page


@pytest.mark.parametrize("name", NAMES)
@given(
    body=st.binary(max_size=60) | JSON.map(lambda body: json.dumps(body).encode()), status=st.sampled_from([200, 404])
)
def test_any_answer(name: str, body: bytes, status: int) -> None:
    for _, question in ANSWERS[name]:
        read(name, Response(status, {}, body), question)


VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "apptoto": [{}, {"country": "DE"}, {"echo_external_id": False}],
    "dex": [{}, {"page_size": 2, "by_emails_shape": "map", "page_key": "contacts", "one_shape": "contact"},
        {"page_size": 2, "client_ids": "ignore", "one_shape": "bare"},
        {"page_size": 2, "stored_names": "whole", "last_cursor": "absent"}, {"page_size": 2, "reads_show": "fields"}],
    "intermezzo": [{}, {"contacts_in_organization": False, "paging": "array", "normalise": True},
        {"contacts_in_organization": False, "paging": "items", "normalise": False}],
    "talkdesk": [{}, *({"page_size": 2, "page_totals": totals} for totals in ("both", "total", "whole_count", "none")),
        {"page_size": 2, "next_href": "relative", "reformat_phones": True}],
}  # fmt: skip


@pytest.mark.parametrize(("name", "knobs"), [(name, knobs) for name, found in VARIANTS.items() for knobs in found])
def test_what_was_created_is_found_and_nothing_else(name: str, knobs: Mapping[str, Any]) -> None:
    vendor, destination = vendors.load(name), DESTINATIONS[name]
    simulator = Simulator({f"{name}.{knob}": value for knob, value in knobs.items()})
    nobody, *sent = payloads(vendor, destination, [*NOBODIES[name], *ROWS[name]])
    create(simulator, vendor, destination, sent)
    found = read_all(vendor, at(simulator, vendor), destination, [*sent, nobody])
    assert verdicts(vendor, [*sent, nobody], found) == [*ids_of(simulator, vendor), "absent"]
    assert len(simulator.vendors[name].stored) == len(sent)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_contact_shows_late(name: str) -> None:
    clock = [100.0]
    vendor, destination = vendors.load(name), DESTINATIONS[name]
    simulator = Simulator({f"{name}.read_lag": 3}, now=lambda: clock[0])
    sent = [one for one in payloads(vendor, destination, ROWS[name]) if "id" not in one]
    create(simulator, vendor, destination, sent)
    assert verdicts(vendor, sent, read_all(vendor, at(simulator, vendor), destination, sent)) == ["absent"] * len(sent)
    clock[0] += 3
    found = read_all(vendor, at(simulator, vendor), destination, sent)
    assert verdicts(vendor, sent, found) == ids_of(simulator, vendor)


@pytest.mark.parametrize("name", ["dex", "intermezzo", "talkdesk"])
def test_every_field_that_is_shown_is_read(name: str) -> None:
    vendor, destination, simulator = vendors.load(name), DESTINATIONS[name], Simulator()
    sent = payloads(vendor, destination, ROWS[name])
    create(simulator, vendor, destination, sent)
    shown = {one.id: one for found in read_all(vendor, at(simulator, vendor), destination, sent).contacts.values()
             for one in found}  # fmt: skip
    for id_, payload in zip(ids_of(simulator, vendor), sent, strict=True):
        compared = payload.keys() - {"linkedin"}
        assert {field: shown[id_].fields[field] for field in compared} == {one: payload[one] for one in compared}
        assert shown[id_].created_at is not None or name != "talkdesk"


@pytest.mark.parametrize("name", NAMES)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_a_true_answer_with_one_thing_changed_loses_no_contact(name: str, data: st.DataObject, seed: int) -> None:
    answers = [(answer, question) for answer, question in ANSWERS[name] if answer.status == 200]
    draw = random.Random(seed)
    answer, question = draw.choice(answers)
    body = json.loads(answer.body)
    path = draw.choice(list(conformance.paths(body)))
    changed = conformance.replaced(body, path, data.draw(JSON | st.just(...)))
    page = read(name, Response(200, {}, json.dumps(changed).encode()), question)
    if page is not None and (entries := contacts_in(changed)) is not None:
        # Names in one piece come in several ways to part them: the ids count.
        assert len({contact.id for contact in page.contacts}) == len({json.dumps(entry) for entry in entries})


def contacts_in(body: Any) -> list[Any] | None:
    """Return the list of contacts of an answer, wherever one of the vendors has it."""
    for path in (("_embedded", "records"), ("data", "items"), ("data",), ("items", 0, "contacts")):
        found = body
        for key in path:
            there = (isinstance(found, list) and key in range(len(found))) or (isinstance(found, dict) and key in found)
            found = found[key] if there else None
        if isinstance(found, list):
            return found
    return None
