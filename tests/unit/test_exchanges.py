"""Every vendor passes the conformance checks, with every exchange and reading under ``tests/exchanges``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts import conformance, vendors
from airflow_provider_contacts.vendor_kit.auth import Auth, FixedHeader
from airflow_provider_contacts.vendor_kit.forms import DestinationForm, Setting
from airflow_provider_contacts.vendor_kit.vendor import Created, Replies, Response
from tests.support.vendors import words_of

FOLDER = Path(__file__).parents[1] / "exchanges"
EXCHANGES = sorted(FOLDER.glob("*/*.json"))
READINGS = sorted(FOLDER.glob("*/reads/*.json"))


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).parts[0]


def load(path: Path) -> dict[str, Any]:
    exchange: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return exchange


def exchanges_of(name: str) -> list[dict[str, Any]]:
    return [load(path) for path in EXCHANGES if name_of(path) == name]


@pytest.mark.parametrize("path", EXCHANGES, ids=lambda path: f"{name_of(path)}-{path.stem}")
def test_an_exchange(path: Path) -> None:
    conformance.check_exchange(vendors.load(name_of(path)), load(path))


@pytest.mark.parametrize("path", READINGS, ids=lambda path: f"{name_of(path)}-{path.stem}")
def test_a_reading(path: Path) -> None:
    conformance.check_reading(vendors.load(name_of(path)), load(path))


@pytest.mark.parametrize("name", vendors.names())
def test_every_vendor_conforms_and_shows_success_doubt_and_refusal(name: str) -> None:
    conformance.check_vendor(vendors.load(name))
    conformance.check_exchanges(exchanges_of(name))


@pytest.mark.parametrize("name", [name for name in vendors.names() if vendors.load(name).read_back is not None])
def test_every_vendor_that_is_read_back_shows_presence_absence_and_doubt(name: str) -> None:
    readings = [load(path)["steps"] for path in READINGS if name_of(path) == name]
    assert any(step.get("contacts") for steps in readings for step in steps), "nobody is found"
    assert any(steps[-1].get("unreadable") for steps in readings), "no answer proves nothing"


# A check must be able to fail.

DEX = vendors.load("dex")
CREATED = load(FOLDER / "dex" / "all_created.json")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"name": "De x"}, "no connection type"),
        ({"docs_url": "http://dex"}, "no https address"),
        ({"envelope": (b"", b"")}, "batch_size"),
        ({"settings": (Setting("verify", "Verify", "", default="x"),)}, "declared twice"),
        ({"destination": DestinationForm(settings=(Setting("a", "A", "", default="x"),))}, "has a default"),
        ({"auth": Auth(credential=lambda _account: FixedHeader("Bearer x"))}, "empty connection"),
        ({"contract": replace(DEX.contract, flat=vendors.load("nedzo").contract.flat, record=dict)}, "no field"),
    ],
)
def test_a_vendor_that_does_not_hold_together_is_told(change: dict[str, Any], wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong):
        conformance.check_vendor(replace(DEX, **change))


def believing(answer: Any, sent: Any) -> Replies:  # noqa: ARG001
    return Replies.of([Created("1")] * len(sent))


def failing(answer: Any, sent: Any) -> Replies:  # noqa: ARG001
    raise KeyError("contacts")


@pytest.mark.parametrize("read", [believing, failing, lambda *_: Replies([])])
def test_a_reader_that_believes_everything_or_fails_is_told(read: Any) -> None:
    with pytest.raises(AssertionError):
        conformance.check_exchange(replace(DEX, read=read), CREATED)
    with pytest.raises((AssertionError, KeyError)):
        conformance.check_answer(replace(DEX, read=read), conformance.answer_of(CREATED["response"]), [{}, {}])


@pytest.mark.parametrize("key", ["source", "request", "replies"])
def test_an_exchange_that_says_something_else_is_told(key: str) -> None:
    with pytest.raises(AssertionError):
        conformance.check_exchange(DEX, {**CREATED, key: [] if key == "replies" else "x"})
    with pytest.raises(AssertionError):
        conformance.check_exchanges([CREATED])


# Whatever comes.


def json_like(exchanges: list[dict[str, Any]]) -> st.SearchStrategy[Any]:
    """Draw JSON in the words of a vendor's answers."""
    words = sorted(words_of([exchange["response"].get("body") for exchange in exchanges]))
    scalars = st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.sampled_from(["", "1", *words[:9]])
    names = st.sampled_from(words) | st.text(max_size=3)
    return st.recursive(
        scalars | st.text(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6)
    )


BODIES = {name: json_like(exchanges_of(name)) for name in vendors.names()}


@pytest.mark.parametrize("name", vendors.names())
@given(data=st.data(), status=st.sampled_from([200, 201, 400, 409, 422]), count=st.integers(0, 3))
def test_no_answer_makes_a_reader_fail(name: str, data: st.DataObject, status: int, count: int) -> None:
    vendor, exchange = vendors.load(name), exchanges_of(name)[0]
    body = data.draw(st.binary(max_size=60) | BODIES[name].map(lambda value: json.dumps(value).encode()))
    sent = [one.payload for one in conformance.prepare(vendor, exchange)][:1] * count
    conformance.check_answer(vendor, Response(status, {}, body), sent)
