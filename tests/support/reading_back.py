"""Reading a vendor back in tests: records created at the simulator, and every question asked there until its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.reconcile.matching import compare
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response, Vendor
from tests.support.simulated import ask

CREDENTIALS: Mapping[str, str] = {
    "apptoto": "Basic ZGVtb0BleGFtcGxlLmNvbTprZXk=",
    "dex": "Bearer dex_demo_key",
    "intermezzo": "Bearer ready-token",
    "talkdesk": "Bearer ready-token",
}

Asker = Callable[[Request], Response]


def words(vendor: Vendor) -> ReadBack:
    assert vendor.read_back is not None
    return vendor.read_back


def at(simulator: Simulator, vendor: Vendor) -> Asker:
    """Return what sends a request to the vendor's simulation."""

    def send(request: Request) -> Response:
        headers = {"Authorization": CREDENTIALS[vendor.name]}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        path = f"/{vendor.name}{request.path}"
        got = ask(simulator, request.method, path, params=request.query or None, content=request.body, headers=headers)
        return Response(got.status_code, {name.lower(): value for name, value in got.headers.items()}, got.content)

    return send


def payloads(vendor: Vendor, destination: Destination, records: Sequence[Mapping[str, Any]]) -> list[Payload]:
    """Return what would be sent, generated ids included."""
    mapper = Mapper(vendor=vendor, destination=destination, sync_id="read")
    prepared = [mapper.prepare(index, record) for index, record in enumerate(records)]
    assert all(not one.errors for one in prepared), prepared
    return [dict(one.payload) for one in prepared if not one.errors]


def create(simulator: Simulator, vendor: Vendor, destination: Destination, sent: Sequence[Payload]) -> None:
    """Create contacts at the simulator, in one request, and see that it took them."""
    before, after = vendor.envelope
    body = before + b",".join(json.dumps(one).encode() for one in sent) + after
    there = len(simulator.vendors[vendor.name].stored)
    at(simulator, vendor)(Request("POST", vendor.request_path(destination), body=body))
    assert len(simulator.vendors[vendor.name].stored) == there + len(sent)


@dataclass
class Read:
    """What one reading gave."""

    contacts: dict[int, list[Contact]]  # by the index of the record that they could be
    incomplete: set[int]  # records about which a question was not answered, or that no question was about
    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[Response, Question]] = field(default_factory=list)


def read_all(vendor: Vendor, send: Asker, destination: Destination, sought: Sequence[Payload]) -> Read:
    """Ask every question to its end."""
    reading = words(vendor)
    found = Read({index: [] for index in range(len(sought))}, set(range(len(sought))))
    first = list(reading.questions(sought, destination))
    found.incomplete -= {index for question in first for index in question.about}
    for question in first:
        following: Question | None = question
        while following is not None:
            if following.request in found.requests or len(found.requests) >= reading.most_requests:
                found.incomplete.update(question.about)
                break
            found.requests.append(following.request)
            answer = send(following.request)
            page = page_of(reading, answer, following)
            found.answers.append((answer, following))
            if page is None:
                found.incomplete.update(question.about)
                break
            for index in question.about:
                found.contacts[index].extend(page.contacts)
            if not page.whole:
                found.incomplete.update(question.about)
            following = page.more
    return found


def page_of(reading: ReadBack, answer: Response, question: Question) -> Page | None:
    """Return the page of an answer, ``None`` where the answer is none."""
    if not 200 <= answer.status < 300 and answer.status not in reading.absent_statuses:
        return None
    try:
        return reading.read(answer, question)
    except UnreadableError:
        return None


def verdicts(vendor: Vendor, sought: Sequence[Payload], found: Read) -> list[str]:
    """Return for each record the ids that are it, else ``like``, ``incomplete`` or ``absent``."""
    said = []
    for index, payload in enumerate(sought):
        likeness = [(compare(payload, one.fields, words(vendor).identity), one.id) for one in found.contacts[index]]
        same = sorted({id_ for word, id_ in likeness if word == "same"})
        if same:
            said.append(",".join(same))
        elif index in found.incomplete:
            said.append("incomplete")
        else:
            said.append("like" if any(word == "like" for word, _ in likeness) else "absent")
    return said


def ids_of(simulator: Simulator, vendor: Vendor) -> list[str]:
    """Return the ids of all contacts at the simulator, in the order of their creation."""
    return [str(one.id) for one in simulator.vendors[vendor.name].stored]


def more_of(page: Page) -> Question:
    """Return what a page says must be asked next."""
    assert page.more is not None
    return page.more
