"""A plan decides as a push does, and touches nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.plan import Plan, planned
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.vendor_kit.push_settings import PushSettings
from airflow_provider_contacts.vendor_kit.vendor import Limits
from tests.support.fake_vendor import LIMITS, VENDOR, World

MAPPER = Mapper(vendor=VENDOR, destination={}, sync_id="s", sync_key=("key",))


ROWS = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from("abcdefghij"), "name": st.sampled_from(["n", "m", ""])}), max_size=40
)


class Earlier(MemoryLedger):
    """A memory with states of earlier runs."""

    def __init__(self, *earlier: RecordState) -> None:
        super().__init__("token", "run")
        self.earlier = {one.record_identifier: one for one in earlier}

    def states(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        found = {one: self.earlier[one] for one in identifiers if one in self.earlier}
        return {**found, **super().states(identifiers)}


def state(key: str, status: Status, age: float = 1e6) -> RecordState:
    return RecordState(
        record_identifier=key, status=status, batch_id="other.1", sync_run_id="earlier", payload_hash="v1:x", age=age
    )


SETTINGS = PushSettings(limits=replace(LIMITS, batch_size=3, max_in_flight=1))


def plan_of(rows: Iterable[Any], ledger: Earlier, on_unknown: Any = "hold") -> tuple[Plan, list[Outcome]]:
    plan, chosen = Plan(), replace(SETTINGS, on_unknown=on_unknown)
    return plan, list(planned(iter(rows), mapper=MAPPER, ledger=ledger, settings=chosen, plan=plan))


@settings(max_examples=60)
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
    # Copies of a key may differ; two keys have contacts of their own, as they have at the vendor.
    named = [{**row, "name": row["name"] and row["name"] + row["key"]} for row in rows] * 4
    ledger = Earlier(*(state(key, status) for key, status in standing.items()))
    before = ledger.states("abcdefghij")
    plan, said = plan_of(named, ledger, on_unknown)
    assert ledger.states("abcdefghij") == before, "a plan remembers nothing"
    pushed = World().push(named, ledger=ledger, sync_key=("key",), limits=SETTINGS.limits, on_unknown=on_unknown)
    assert pushed.error is None
    push, done = pushed.push, pushed.outcomes
    unsent = Counter(one.status for one in said)
    counted = Counter(one.status for one in done)
    assert plan.num_requests == push.counts.num_requests
    assert plan.num_to_send == counted[Status.SUCCEEDED]
    assert {status: counted[status] for status in unsent} == dict(unsent)
    assert len(said) + plan.num_to_send == len(named)


NEDZO = {"batch_size": 1, "max_in_flight": 2, "requests_per_second": 1.0}


@pytest.mark.parametrize(
    ("limits", "shared_rate", "minutes"),
    [
        ({"batch_size": 100, "max_in_flight": 8}, None, 7.5),  # half a second an answer
        (NEDZO, None, 120.0),
        (NEDZO, 0.5, 240.0),  # the slower one counts
        (NEDZO, 5.0, 120.0),
        ({"batch_size": 100, "max_in_flight": 8}, 2.0, 60.0),
    ],
)
def test_a_plan_lasts_as_long_as_the_slowest_rate_says(limits: Any, shared_rate: float | None, minutes: float) -> None:
    assert Plan(num_requests=7200).minutes(Limits(**limits), shared_rate) == minutes


def test_what_the_source_raises_is_raised() -> None:
    def rows() -> Any:
        yield {"key": "a", "name": "n"}
        raise OSError("the source is away")

    with pytest.raises(OSError, match="the source is away"):
        plan_of(rows(), Earlier())


def counted(count: int, *earlier: RecordState, on_unknown: Any = "hold") -> tuple[int, int, dict[str, Status]]:
    """Return how many of so many records a plan sends in how many requests, and the outcomes that it gives."""
    plan, said = plan_of([{"key": f"k{n}", "name": "n"} for n in range(count)], Earlier(*earlier), on_unknown)
    return plan.num_to_send, plan.num_requests, {one.record_identifier: one.status for one in said}


def test_all_chunks_of_a_source_are_counted() -> None:
    # A hundred rows a chunk, three records a request, whatever the chunks are.
    assert counted(250) == (250, 84, {})


@pytest.mark.parametrize("on_unknown", ["hold", "reconcile"])
def test_a_doubt_counts_as_held_where_nothing_is_sent_again(on_unknown: Any) -> None:
    found = counted(4, state("k0", Status.UNKNOWN), on_unknown=on_unknown)
    assert found == (3, 1, {"k0": Status.UNKNOWN})


@pytest.mark.parametrize(("age", "requests"), [(0.0, 2), (64.0, 2), (1e6, 1)])
def test_a_doubt_that_is_sent_again_goes_alone_while_its_request_may_run(age: float, requests: int) -> None:
    found = counted(3, state("k0", Status.UNKNOWN, age), on_unknown="resend")
    assert found == (3, requests, {})


@pytest.mark.parametrize(("limits", "chunk"), [((3, 1), 100), ((60, 3), 180), ((100, 100), 2000)])
def test_a_plan_reads_as_a_push_does(limits: tuple[int, int], chunk: int) -> None:
    read: list[int] = []

    def rows() -> Any:
        for index in range(2500):
            read.append(index)
            yield {"key": f"k{index}", "name": "n" if index else ""}

    chosen = PushSettings(limits=Limits(batch_size=limits[0], max_in_flight=limits[1]))
    ledger = MemoryLedger("t", "run")
    outcomes = planned(rows(), mapper=MAPPER, ledger=ledger, settings=chosen, plan=Plan())
    assert next(outcomes).status is Status.INVALID
    assert len(read) == chunk
