"""Every exchange under ``tests/exchanges`` replayed: what a user gives, what leaves, what is made of the answer.

A file is ``tests/exchanges/<vendor>/<case>.json`` with the keys

- ``source``: where the shapes are documented, with the mark of each;
- ``destination`` and ``records``: as a user gives them, all of them fit to be sent;
- ``request``: ``method``, ``path`` and ``body`` exactly as they must leave (ids that we make are drawn for the
  ``sync_id`` ``exchanges``);
- ``response``: ``status``, ``headers`` (optional), and ``body`` as JSON or ``raw`` as text;
- ``replies``, one a record, for a 2xx: ``kind`` with ``id`` (created, doubt), ``errors`` (rejected) or ``code``;
- ``refusal`` for a 4xx: index to ``errors``; what it does not name is not there. ``refusal_code`` may stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.records.mapper import Mapper, Prepared
from airflow_provider_contacts.vendor_kit.answers import read_replies
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Reply, Response, Stop, Vendor
from tests.support.answers import code_of, reasons

FOLDER = Path(__file__).parents[1] / "exchanges"
FILES = sorted(FOLDER.glob("*/*.json"))
KEYS = {"source", "destination", "records", "request", "response"}


def load(path: Path) -> tuple[Vendor, dict[str, Any]]:
    exchange: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return vendors.load(path.parent.name), exchange


def prepare(vendor: Vendor, exchange: Mapping[str, Any]) -> list[Prepared]:
    mapper = Mapper(vendor=vendor, destination=exchange["destination"], sync_id="exchanges")
    prepared = [mapper.prepare(index, record) for index, record in enumerate(exchange["records"])]
    assert all(isinstance(one, Prepared) for one in prepared), prepared
    return [one for one in prepared if isinstance(one, Prepared)]


def answer_of(exchange: Mapping[str, Any]) -> Response:
    response = exchange["response"]
    assert ("raw" in response) != ("body" in response)
    text = response["raw"] if "raw" in response else json.dumps(response["body"])
    headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
    return Response(response["status"], headers, text.encode())


def errors_as_json(errors: Iterable[RecordError]) -> list[dict[str, Any]]:
    return [{"code": error.code, "field": error.field} for error in errors]


def reply_as_json(reply: Reply) -> dict[str, Any]:
    match reply:
        case Created(id=id_):
            return {"kind": "created", "id": id_}
        case Rejected(errors=errors):
            return {"kind": "rejected", "errors": errors_as_json(errors)}
        case Again(code=code):
            return {"kind": "again", "code": code}
        case Doubt(code=code, id=id_):
            return {"kind": "doubt", "code": code, "id": id_}
        case Stop(code=code):
            return {"kind": "stop", "code": code}


def completed(expected: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a file may leave out: an id or a field that is not told."""
    if expected["kind"] == "rejected":
        return {**expected, "errors": [{"field": None, **error} for error in expected["errors"]]}
    return {"id": None, **expected} if expected["kind"] in {"created", "doubt"} else dict(expected)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_exchange(path: Path) -> None:
    vendor, exchange = load(path)
    assert set(exchange) - {"replies", "refusal", "refusal_code"} == KEYS
    assert any(mark in exchange["source"] for mark in ("SEED", "FOUND", "INFERRED", "UNKNOWN"))

    prepared = prepare(vendor, exchange)
    assert 0 < len(prepared) <= vendor.limits.batch_size
    before, after = vendor.envelope
    leaving = {
        "method": "POST",
        "path": vendor.request_path(exchange["destination"]),
        "body": json.loads(before + b",".join(one.body for one in prepared) + after),
    }
    assert leaving == exchange["request"]

    answer, sent = answer_of(exchange), [one.payload for one in prepared]
    if 200 <= answer.status < 300:
        assert [reply_as_json(reply) for reply in read_replies(vendor, answer, sent)] == [
            completed(reply) for reply in exchange["replies"]
        ]
        return
    named = {str(index): errors_as_json(errors) for index, errors in reasons(vendor, answer, sent).items()}
    assert named == {
        index: [{"field": None, **error} for error in errors] for index, errors in exchange["refusal"].items()
    }
    if "refusal_code" in exchange:
        assert code_of(vendor, answer) == exchange["refusal_code"]


@pytest.mark.parametrize("name", vendors.names())
def test_every_vendor_shows_success_doubt_and_refusal(name: str) -> None:
    exchanges = [load(path)[1] for path in FILES if path.parent.name == name]
    kinds = {reply["kind"] for exchange in exchanges for reply in exchange.get("replies", ())}
    assert any(
        all(reply["kind"] == "created" for reply in exchange.get("replies", [{"kind": ""}])) for exchange in exchanges
    ), "an exchange is missing in which all records are created"
    assert "doubt" in kinds, "an exchange is missing whose answer proves nothing"
    assert any("refusal" in exchange for exchange in exchanges), "an exchange with a refusing status is missing"


def test_every_folder_is_a_vendor() -> None:
    assert {path.parent.name for path in FILES} <= set(vendors.names())
