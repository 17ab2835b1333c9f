"""Every reading under ``tests/exchanges`` replayed: what is asked about some records, and what is made of the answers.

A file is ``tests/exchanges/<vendor>/reads/<case>.json`` with the keys

- ``source``: where the shapes are documented, with the mark of each;
- ``destination`` and ``records``: as a user gives them;
- ``steps``: the first is the vendor's first question about the records, each further one what the step before leads to.
  ``request`` has ``method``, ``path``, ``query`` and, where it has one, ``body``; ``response`` has ``status``,
  ``headers`` (optional) and ``body``. Then either ``unreadable``, or ``contacts``, each with ``id``, ``fields`` and
  ``created_at``. ``proves_absence: false``: the answer is one that leaves no room for absence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.reads import Contact
from airflow_provider_contacts.vendor_kit.vendor import Request, Response
from tests.support.reading_back import payloads, words

FOLDER = Path(__file__).parents[1] / "exchanges"
FILES = sorted(FOLDER.glob("*/reads/*.json"))


def request_as_json(request: Request) -> dict[str, Any]:
    shown = {"method": request.method, "path": request.path, "query": [list(pair) for pair in request.query]}
    return shown if request.body is None else {**shown, "body": json.loads(request.body)}


def contact_as_json(contact: Contact) -> dict[str, Any]:
    created_at = contact.created_at.isoformat() if contact.created_at else None
    return {"id": contact.id, "fields": contact.fields, "created_at": created_at}


def name_of(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_reading(path: Path) -> None:
    exchange: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert exchange.keys() == {"source", "destination", "records", "steps"}
    assert any(mark in exchange["source"] for mark in ("SEED", "FOUND", "INFERRED", "UNKNOWN"))
    vendor = vendors.load(path.parts[-3])
    reading = words(vendor)
    sought = payloads(vendor, exchange["destination"], exchange["records"])
    asked = list(reading.questions(sought, exchange["destination"]))
    question = asked[0] if asked else None
    for step in exchange["steps"]:
        assert question is not None, "the answer before was the last one"
        assert request_as_json(question.request) == step["request"]
        response = step["response"]
        assert 200 <= response["status"] < 300 or response["status"] in reading.absent_statuses
        answer = Response(response["status"], response.get("headers", {}), json.dumps(response["body"]).encode())
        if step.get("unreadable"):
            with pytest.raises(UnreadableError):
                reading.read(answer, question)
            assert step is exchange["steps"][-1]
            return
        page = reading.read(answer, question)
        assert [contact_as_json(contact) for contact in page.contacts] == step["contacts"]
        assert page.whole is step.get("proves_absence", True)
        question = page.more
    assert question is None, "the last answer leads on"


@pytest.mark.parametrize("name", [name for name in vendors.names() if vendors.load(name).read_back is not None])
def test_every_vendor_that_is_read_back_shows_presence_absence_and_doubt(name: str) -> None:
    readings = [json.loads(path.read_text("utf-8"))["steps"] for path in FILES if path.parts[-3] == name]
    assert any(step.get("contacts") for steps in readings for step in steps), "nobody is found"
    assert any(steps[-1].get("unreadable") for steps in readings), "no answer proves nothing"


def test_every_folder_is_a_vendor() -> None:
    assert {path.parts[-3] for path in FILES} <= set(vendors.names())
