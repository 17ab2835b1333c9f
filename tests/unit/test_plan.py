"""A plan decides as a push does, and touches nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.core.batching import batches
from airflow_provider_contacts.core.errors import LedgerError
from airflow_provider_contacts.core.intake import Item
from airflow_provider_contacts.core.ledger import MemoryLedger, Standing
from airflow_provider_contacts.core.outcome import Status
from airflow_provider_contacts.core.plan import Cutter, Overlay, Plan, planned
from airflow_provider_contacts.core.record import Mapper, Prepared
from airflow_provider_contacts.core.settings import PushSettings
from airflow_provider_contacts.core.vendor import Limits
from tests.unit.fake_vendor import LIMITS, VENDOR, World

MAPPER = Mapper(vendor=VENDOR, destination={}, sync_id="s", sync_key=("key",))


def item(size: int, not_before: float = 0.0) -> Item:
    prepared = Prepared(record_identifier="a", row_index=0, payload={}, body=b"x" * size, payload_hash="v1:a")
    return Item(prepared=prepared, not_before=not_before)


@given(st.lists(st.integers(1, 60), max_size=60), st.integers(1, 7), st.integers(20, 200))
def test_requests_are_counted_as_batches_are_cut(sizes: list[int], batch_size: int, body_bytes: int) -> None:
    cut = batches(sizes, batch_size=batch_size, body_bytes=body_bytes, size_of=lambda size: size, overhead=5)
    cutter = Cutter(Limits(batch_size=batch_size, body_bytes=body_bytes), 5)
    assert sum(cutter.cut(item(size)) for size in sizes) == len(list(cut))


def test_a_record_that_must_wait_goes_alone_and_ends_no_batch() -> None:
    cutter = Cutter(Limits(batch_size=3), 0)
    assert [cutter.cut(item(1, wait)) for wait in (0, 5, 0, 0, 0)] == [True, True, False, False, True]


def test_an_overlay_writes_nothing_below_and_sends_nothing() -> None:
    under = MemoryLedger("t", "run")
    overlay = Overlay(under)
    with pytest.raises(LedgerError):
        overlay.claim([])
    with pytest.raises(LedgerError):
        overlay.settle([])
    assert overlay.standing(["a"]) == {}


ROWS = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from("abcdefghij"), "name": st.sampled_from(["n", "m", ""])}), max_size=40
)


def setting(rows: list[dict[str, Any]], standing: dict[str, Status]) -> tuple[MemoryLedger, PushSettings, list[Any]]:
    ledger = MemoryLedger("token", "run")
    for key, status in standing.items():
        ledger._rows[key] = Standing(
            record_identifier=key,
            status=status,
            batch_id="other.1",
            sync_run_id="earlier",
            payload_hash="v1:x",
            age=1e6,
        )
    limits = replace(LIMITS, batch_size=3, max_in_flight=1)
    return ledger, PushSettings(limits=limits), [dict(row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(
    ROWS,
    st.dictionaries(
        st.sampled_from("abcdefghij"),
        st.sampled_from([Status.SUCCEEDED, Status.UNKNOWN, Status.REJECTED, Status.INVALID, Status.SENDING]),
        max_size=6,
    ),
    st.sampled_from(["hold", "resend"]),
)
@example([{"key": "a", "name": ""}] * 30, {}, "hold")
def test_a_push_then_does_what_the_plan_said(rows: list[dict[str, Any]], standing: Any, on_unknown: Any) -> None:
    # Four times over, so that copies meet in different chunks too.
    ledger, chosen, given_rows = setting(rows * 4, standing)
    chosen = replace(chosen, on_unknown=on_unknown)
    plan, before = Plan(), dict(ledger._rows)
    said = list(planned(iter(given_rows), mapper=MAPPER, ledger=ledger, settings=chosen, plan=plan))
    assert ledger._rows == before, "a plan remembers nothing"
    pushed = World().push(
        given_rows, ledger=ledger, sync_key=("key",), limits=chosen.limits, on_unknown=chosen.on_unknown
    )
    assert pushed.error is None
    push, done = pushed.push, pushed.outcomes
    unsent = Counter(one.status for one in said)
    counted = Counter(one.status for one in done)
    assert plan.num_requests == push.num_requests
    assert plan.num_to_send == counted[Status.SUCCEEDED]
    assert {status: counted[status] for status in unsent} == dict(unsent)
    assert len(said) + plan.num_to_send == len(given_rows)


def test_what_the_source_raises_is_raised() -> None:
    def rows() -> Any:
        yield {"key": "a", "name": "n"}
        raise OSError("the source is away")

    ledger, chosen, _ = setting([], {})
    with pytest.raises(OSError, match="the source is away"):
        list(planned(rows(), mapper=MAPPER, ledger=ledger, settings=chosen, plan=Plan()))
