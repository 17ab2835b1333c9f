"""Two records of one key that differ: the first counts, the later one is named, and never sent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_contacts.engine.admission import Admission
from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.seen_keys import MOST_MET, Met
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.vendor_kit.vendor import Limits, Payload
from tests.support.fake_vendor import LOST, READABLE, VENDOR, Deed, FakeLedger, Pushed, World, answers, first, names

KEY: dict[str, Any] = {"sync_key": ("key",)}
ONE, OTHER = {"key": "k", "name": "ann"}, {"key": "k", "name": "bob"}
NOT_UNIQUE = ("invalid", "key_not_unique")


def fillers(count: int) -> list[dict[str, Any]]:
    return [{"key": f"f{index}", "name": f"filler{index}"} for index in range(count)]


def said(pushed: Pushed) -> list[tuple[str, str | None]]:
    """Return what became of the records of the one key, in order of the input."""
    found = sorted(pushed.outcomes, key=lambda one: one.row_index)
    return [(one.status.value, one.error_code) for one in found if one.record_identifier == "k"]


def never_sent(world: World, name: str = "bob") -> bool:
    return all(name not in request for request in world.server.requests)


@pytest.mark.parametrize("with_table", [True, False])
@pytest.mark.parametrize("gap", [0, 3, 500])
def test_the_later_one_is_invalid_and_never_sent(gap: int, with_table: bool) -> None:
    world = World()
    rows = [ONE, *fillers(gap), OTHER, ONE, OTHER]
    ledger = FakeLedger(world.table) if with_table else MemoryLedger("t")
    pushed = world.push(rows, ledger=ledger, **KEY)
    assert said(pushed) == [("succeeded", None), NOT_UNIQUE, ("duplicate", None), NOT_UNIQUE]
    assert never_sent(world)
    later = next(one for one in pushed.outcomes if one.error_code == "key_not_unique")
    assert (later.error_field, later.batch_id, later.destination_record_id) == ("key", None, None)
    assert "unique" in (later.status_message or "")
    if with_table:
        assert len(world.table.rows) == gap + 1, "it has no row of its own"
        assert world.table.rows["k"].status is Status.SUCCEEDED


def stands(status: Status, run: str = "run-1", age: float = 9.0) -> Callable[[], World]:
    """Return what makes a world in which the first one has a row."""

    def make() -> World:
        world = World()
        digest = Mapper(vendor=VENDOR, destination={}, sync_id="s", sync_key=("key",)).prepare(0, ONE).payload_hash
        world.table.put("k", status, sync_run_id=run, age=age, payload_hash=digest)
        return world

    return make


def read_back(*, there: bool) -> World:
    world = World(first(Deed(status=None, applies=there)))
    world.push([ONE], vendor=READABLE, run="run-0", **KEY)
    world.later()
    return world


def lost(point: str, call: int, world: World) -> None:
    if (point, call) == ("claim:before", 1):
        world.table.put("k", Status.SENDING, age=1.0)


def rejected(payload: Payload) -> str:
    return "rejected" if payload["name"] == "ann" else "created"


def sent_to(deed: Deed) -> World:
    return World(lambda _index, sent: deed if sent[0]["name"] == "ann" else Deed())


INVALID = {**ONE, "age": -1}
RECONCILE: dict[str, Any] = {"vendor": READABLE, "on_unknown": "reconcile"}
FIRST: dict[str, tuple[Callable[[], World], dict[str, Any], dict[str, Any], str]] = {
    "rejected": (
        lambda: World(verdicts=lambda one: "rejected" if one["name"] == "ann" else "created"),
        ONE,
        {},
        "rejected",
    ),
    "failed": (lambda: sent_to(answers(429)), ONE, {"request_attempts": 1}, "failed"),
    "unknown": (lambda: sent_to(LOST), ONE, {"request_attempts": 1}, "unknown"),
    "invalid": (World, INVALID, {}, "invalid"),
    "held": (stands(Status.UNKNOWN, "run-0"), ONE, {}, "unknown"),
    "claimed by another run": (stands(Status.SENDING, "run-0"), ONE, {}, "failed"),
    "claimed long ago": (stands(Status.SENDING, "run-0", 9e9), ONE, {}, "unknown"),
    "claimed by an earlier try": (stands(Status.SENDING), ONE, {}, "unknown"),
    "rejected in an earlier try": (stands(Status.REJECTED), ONE, {}, "rejected"),
    "invalid in an earlier try": (stands(Status.INVALID), ONE, {}, "invalid"),
    "found by reading": (lambda: read_back(there=True), ONE, RECONCILE, "succeeded"),
    "not found by reading": (lambda: read_back(there=False), ONE, RECONCILE, "succeeded"),
}


@pytest.mark.parametrize("gap", [0, 500])
@pytest.mark.parametrize("case", FIRST)
def test_whatever_became_of_the_first(case: str, gap: int) -> None:
    make, one, options, word = FIRST[case]
    world = make()
    limits = Limits(batch_size=1, max_in_flight=3)
    pushed = world.push([one, *fillers(gap), one, OTHER], limits=limits, **options, **KEY)
    assert said(pushed)[0][0] == word
    assert said(pushed)[1:] == [("duplicate", None), NOT_UNIQUE]
    assert never_sent(world)
    assert world.table.rows["k"].status.value == {"claimed by another run": "sending"}.get(case, word)


@pytest.mark.parametrize("gap", [0, 500])
def test_a_first_one_whose_claim_is_lost(gap: int) -> None:
    world = World()
    rows = [ONE, *fillers(gap), ONE, OTHER]
    pushed = world.push(rows, trouble=lambda point, call: lost(point, call, world), **KEY)
    assert said(pushed) == [("failed", "claimed_elsewhere"), ("duplicate", None), NOT_UNIQUE]
    assert never_sent(world)


# An earlier try or run.


@pytest.mark.parametrize("run", ["run-1", "run-2"])
@pytest.mark.parametrize("gap", [0, 500])
def test_where_the_first_was_delivered_before_the_later_one_is_skipped(
    run: str, gap: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.push([ONE], **KEY)
    caplog.clear()
    pushed = world.push([ONE, *fillers(gap), ONE, OTHER], run=run, **KEY)
    assert said(pushed) == [("skipped", None)] * 3
    assert [one.changed for one in pushed.outcomes if one.record_identifier == "k"] == [False, False, True]
    # Delivered once, by one try of one run.
    delivered = [one for one in pushed.outcomes if one.record_identifier == "k" and one.from_this_run]
    assert len(delivered) == (run == "run-1")
    (warning,) = warnings(caplog)
    assert warning.startswith("1 records were skipped")
    # A person whose data changed since is no second one.
    caplog.clear()
    assert said(world.push([OTHER], run="run-3", **KEY)) == [("skipped", None)]
    assert warnings(caplog) == []


@pytest.mark.parametrize("word", ["rejected", "invalid"])
def test_a_corrected_record_is_sent_in_the_next_try(word: str) -> None:
    world = World(verdicts=rejected)
    wrong = ONE if word == "rejected" else {**ONE, "age": -1}
    assert said(world.push([wrong], **KEY))[0][0] == word
    assert said(world.push([OTHER, wrong], **KEY)) == [("succeeded", None), NOT_UNIQUE]


# What is told.


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def test_the_log_counts_them_once_and_names_nobody(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.push([ONE, *[OTHER] * 700], **KEY)
    (warning,) = warnings(caplog)
    assert warning.startswith("700 records were not sent (key_not_unique)")
    assert "(key)" in warning
    assert "bob" not in warning


def test_without_a_key_there_are_only_duplicates(caplog: pytest.LogCaptureFixture) -> None:
    pushed = World().push([{"name": "ann"}, {"name": "bob"}, {"name": "ann"}], sync_key=())
    assert pushed.counts() == {"succeeded": 2, "duplicate": 1}
    assert warnings(caplog) == []


# Constant memory.


def test_the_older_half_of_the_keys_is_forgotten() -> None:
    met = Met(most=4)
    for key in "abcde":
        met.remember(key, f"payload {key}")
    assert [met.is_same(key, f"payload {key}") for key in "abcde"] == [None, None, True, True, True]
    assert (met.is_same("e", "another"), met.among("abcde")) == (False, {"c", "d", "e"})
    assert MOST_MET == 100_000


def test_what_is_sent_costs_no_memory_once_its_row_tells() -> None:
    world = World()
    pushed = world.push(names(3000))
    admission: Admission = pushed.push._steps.admission
    assert (len(admission.keys.active), len(admission.keys._decided._new)) == (0, 0)
