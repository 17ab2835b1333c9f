"""The ledger in Airflow's task state store: what it writes, what it reads back, and what its failures leave."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from airflow_provider_contacts.errors import ConfigError, LedgerError, SupersededError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.task_state.entries import key_of
from airflow_provider_contacts.ledgers.task_state.log import MOST_BYTES, AirflowStore, StoreRefusedError
from airflow_provider_contacts.ledgers.task_state.open_state import open_task_state
from airflow_provider_contacts.ledgers.task_state.state_ledger import TaskStateLedger
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.record_state import Holder
from airflow_provider_contacts.vendor_kit.push_settings import SYSTEM_CLOCK, Clock
from tests.airflow_harness import needs_state_store
from tests.support.ledger_conformance import (
    HOST,
    OBJECT,
    EveryLedger,
    answer,
    batch_of,
    claim,
    conclude,
    outcome,
    put,
    results,
    send,
    settle,
    standing_outside,
)
from tests.support.state_store import StateStore

pytestmark = needs_state_store
PLACE: dict[str, Any] = {"destination": "dex", "destination_host": HOST, "destination_object": OBJECT}


@dataclass
class TaskStates:
    """The stores of the runs of one task."""

    stores: dict[str, StateStore] = field(default_factory=dict)
    keeps_texts: bool = False

    def store(self, run_id: str = "run") -> StateStore:
        return self.stores.setdefault(run_id, StateStore())

    def open(self, run_id: str = "run", try_number: int = 1, **changes: Any) -> TaskStateLedger:
        assert try_number
        named = {"sync_id": "sync", **PLACE}
        named |= {name: changes.pop(name) or None if name == "destination_object" else changes.pop(name)
                  for name in [*named] if name in changes}  # fmt: skip
        return TaskStateLedger.open(
            AirflowStore(self.store(run_id)), f"dag/{run_id}/task/-1", Binding(**named), **changes
        )

    def look(self) -> TaskStateLedger:
        return self.open(register=False)

    def count(self) -> int:
        """Count the records with an entry, but for claims that were taken back."""
        known = self.open(register=False)._known.values()
        return len([one for one in known if one.entry.error_code != "not_attempted"])

    def destroy(self) -> None:
        self.store().fail()


@pytest.fixture
def memory() -> TaskStates:
    return TaskStates()


@pytest.fixture
def store(memory: TaskStates) -> StateStore:
    return memory.store()


class TestTaskState(EveryLedger):
    pass


def at(moment: float) -> Clock:
    """Return a clock that stands at so many seconds since the epoch."""
    return replace(SYSTEM_CLOCK, now=lambda: datetime.fromtimestamp(moment, UTC))


# What is written.


def test_the_shape_that_is_written(memory: TaskStates, store: StateStore) -> None:
    ledger = memory.open(token="t1", clock=at(1000.5))
    sent = send(ledger, "one", batch_id="t1.1")
    answer(ledger, sent, Status.SUCCEEDED, http_status=201, destination_record_id="id-one")
    head = {
        "version": 4,
        "number": 1,
        "token": "t1",
        "binding": {"sync_id": "sync", **PLACE},
        "began": 1000.5,
        "steps": 2,
    }
    claimed = [[key_of("one"), "sending", "t1.1", 1, "v1:abc"]]
    answered = [[key_of("one"), "succeeded", "t1.1", 0, None, "id-one", 201]]
    assert store.values() == {
        "contacts": {"token": "t1", "number": 1},
        "contacts.1": head,
        "contacts.1.1": claimed,
        "contacts.1.2": answered,
    }
    state = memory.open().states(["one"])["one"]
    assert (state.status, state.destination_record_id, state.attempts) == (Status.SUCCEEDED, "id-one", 1)
    assert state.payload_hash == "v1:abc"


def test_answers_and_claims_are_one_step_and_one_look(memory: TaskStates, store: StateStore) -> None:
    ledger = memory.open(token="t")
    (created,) = results(send(ledger, "a", "b", "c", batch_id="t.1"), Status.SUCCEEDED)
    due = batch_of(ledger, "d")
    store.calls.clear()
    refused = outcome("b", Status.REJECTED, "t.1", error_code="taken")
    assert put(ledger, due, [changed(created, ids=["id-a", None, None], exceptions={1: refused})]) == {"d"}
    assert store.calls == [("set", "contacts.1.2"), ("set", "contacts.1"), ("get", "contacts")]
    states = memory.open().states(["a", "b", "c", "d"])
    assert [(one.status, one.destination_record_id, one.error_code) for one in states.values()] == [
        (Status.SUCCEEDED, "id-a", None),
        (Status.REJECTED, None, "taken"),
        (Status.SUCCEEDED, None, None),
        (Status.SENDING, None, None),
    ]


def test_every_value_has_its_size(memory: TaskStates, store: StateStore) -> None:
    ledger = memory.open(token="t")
    names = [str(number) for number in range(2000)]
    assert len(claim(ledger, *names, batch_id="t.1", payload_hash="v1:" + "a" * 64)) == 2000
    long = "\U0001f600" * 300
    said: dict[str, Any] = {"destination_record_id": long, "error_code": long, "error_field": long}
    ledger.record_outcomes([outcome(one, Status.REJECTED, "t.1", **said) for one in names])
    assert max(map(len, store.kept.values())) <= MOST_BYTES + 100
    assert len(store.steps()) > 200
    states = memory.open().states(names).values()
    assert {(one.status, one.destination_record_id, one.payload_hash) for one in states} == {
        (Status.REJECTED, "\U0001f600" * 255, "v1:" + "a" * 64)
    }
    assert len(states) == 2000


# Failures.


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("key", ["contacts.1.1", "contacts.1"])
def test_a_claim_whose_fate_is_unknown_raises_and_can_be_given_up(
    memory: TaskStates, store: StateStore, key: str, when: str
) -> None:
    ledger = memory.open(token="t")
    store.fail(when, on=("set",), key=key)
    with pytest.raises(LedgerError):
        claim(ledger, "one", "two", batch_id="t.1")
    given_up = [outcome(one, Status.FAILED, "t.1", attempts=0) for one in ("one", "two")]
    store.fail(when, on=("set",))
    with pytest.raises(LedgerError):
        ledger.record_outcomes(given_up)
    store.heal()
    assert conclude(ledger, given_up) == {"one", "two"}
    assert standing_outside(memory, "one")[0] is Status.FAILED
    assert claim(memory.open(), "one", "two") == {"one", "two"}


def test_claims_that_were_written_before_a_later_step_failed_are_doubts(memory: TaskStates, store: StateStore) -> None:
    ledger = memory.open()
    names = [str(number) for number in range(2000)]
    store.fail(on=("set",), key="contacts.1.3")
    with pytest.raises(LedgerError):
        claim(ledger, *names)
    store.heal()
    left = memory.open().states(names)
    assert 0 < len(left) < 2000
    assert {one.status for one in left.values()} == {Status.SENDING}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_is_offered_again_until_it_is_written(memory: TaskStates, store: StateStore, when: str) -> None:
    ledger = memory.open()
    answers = results(send(ledger, "one"), Status.SUCCEEDED)
    store.fail(when, on=("set",))
    for _ in range(3):
        with pytest.raises(LedgerError):
            ledger.record_results(answers)
    store.heal()
    ledger.record_results(answers)
    assert standing_outside(memory, "one")[0] is Status.SUCCEEDED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(8))
def test_an_execution_that_cannot_begin_leaves_nothing_that_misleads(
    memory: TaskStates, store: StateStore, call: int, when: str
) -> None:
    claim(memory.open(), "one")
    counted = len(store.calls)
    store.trouble = lambda method, key: when if len(store.calls) == counted + call + 1 else None  # noqa: ARG005
    failed = False
    try:
        memory.open()
    except LedgerError:
        failed = True
    store.heal()
    assert failed is (call < 7)
    third = memory.open()
    assert third.states(["one"])["one"].status is Status.SENDING
    assert claim(third, "one", "two") == {"one", "two"}


def test_a_newer_execution_that_registers_during_a_claim_is_seen(memory: TaskStates, store: StateStore) -> None:
    older = memory.open()
    newer: list[TaskStateLedger] = []

    def intrude(method: str, key: str) -> None:
        if (method, key) == ("set", "contacts.1.1") and not newer:
            store.heal()
            newer.append(memory.open())

    store.trouble = intrude
    with pytest.raises(SupersededError):
        claim(older, "one")
    assert newer[0].states(["one"]) == {}
    assert claim(newer[0], "one") == {"one"}
    assert str(standing_outside(memory, "one")[1]).startswith(newer[0].token)


def test_claims_that_cannot_be_taken_back_are_doubts(memory: TaskStates, store: StateStore) -> None:
    older = memory.open()
    memory.open()
    store.fail(on=("set",), key="contacts.1.2")
    with pytest.raises(SupersededError):
        claim(older, "one")
    store.heal()
    assert standing_outside(memory, "one")[0] is Status.SENDING


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.REJECTED])
def test_a_claim_that_is_taken_back_leaves_what_stood(memory: TaskStates, status: Status) -> None:
    first = memory.open()
    claim(first, "one")
    settle(first, "one", status, error_code="why")
    older = memory.open()
    due = batch_of(older, "one")
    memory.open()
    with pytest.raises(SupersededError):
        put(older, due)
    state = memory.look().states(["one"])["one"]
    assert (state.status, state.payload_hash, state.error_code) == (status, "v1:abc", "why")


@pytest.mark.parametrize("resent", [False, True])
def test_the_confirmation_of_an_older_execution_stands_over_the_doubt_of_a_newer_one(
    memory: TaskStates, resent: bool
) -> None:
    older = memory.open()
    sent = send(older, "one", batch_id="old.1")
    newer = memory.open()
    if resent:
        claim(newer, "one")
    settle(newer, "one", Status.UNKNOWN)
    older.record_results(results(sent, Status.SUCCEEDED))
    assert standing_outside(memory, "one")[:2] == (Status.SUCCEEDED, "old.1")


def test_a_store_that_was_cleared_under_a_running_push_ends_it(memory: TaskStates, store: StateStore) -> None:
    ledger = memory.open()
    claim(ledger, "one")
    store.kept.clear()
    with pytest.raises(SupersededError, match="cleared"):
        claim(ledger, "two")


# What is read.


def test_a_plan_reads_and_writes_nothing(memory: TaskStates, store: StateStore) -> None:
    older = memory.open()
    claim(older, "one")
    before = dict(store.kept)
    assert memory.look().states(["one"])["one"].status is Status.SENDING
    assert store.kept == before
    assert claim(older, "two") == {"two"}, "a plan takes nothing over"


def test_a_mistaken_destination_that_sent_nothing_does_not_bind(memory: TaskStates) -> None:
    memory.open(destination_object="a typo")
    claim(memory.open(), "one")
    with pytest.raises(ConfigError, match="another sync_id"):
        memory.open(destination_object="a typo")


def test_nobodys_clock_makes_a_claim_old(memory: TaskStates) -> None:
    now = [1000.0]
    ledger = memory.open(clock=replace(SYSTEM_CLOCK, monotonic=lambda: now[0]))
    claim(ledger, "one")
    now[0] += 30
    assert ledger.states(["one"])["one"].age == 30
    now[0] = 5.0
    heir = memory.open(clock=replace(SYSTEM_CLOCK, monotonic=lambda: now[0]))
    assert heir.states(["one"])["one"].age == 0
    now[0] = 70.0
    assert (heir.states(["one"])["one"].age, heir.states(["one"])["one"].ended) == (65, None)
    settle(heir, "one", Status.UNKNOWN)
    now[0] = 80.0
    assert (heir.states(["one"])["one"].age, heir.states(["one"])["one"].ended) == (75, 10)


def test_a_claim_may_be_as_old_as_the_execution_that_wrote_it(memory: TaskStates) -> None:
    def oldest(ledger: TaskStateLedger) -> float | None:
        return ledger.states(["one"])["one"].oldest

    first = memory.open(clock=at(1000.0))
    claim(first, "one")
    assert oldest(first) is None
    second = memory.open(clock=at(1600.0))
    assert second.states(["one"])["one"].age < 30
    assert oldest(second) == 600.0
    settle(second, "one", Status.UNKNOWN)
    assert oldest(second) == 600.0
    # What a later execution says of the request makes its claim no younger.
    assert oldest(memory.open(clock=at(2000.0))) == 1000.0
    # Another worker's clock may be ahead of ours.
    assert (oldest(memory.open(clock=at(900.0))) or 0.0) < 30


def test_a_record_that_was_not_asked_about_holds_its_contact_as_another_would(memory: TaskStates) -> None:
    ledger = memory.open()
    claim(ledger, "a")
    settle(ledger, "a", Status.SUCCEEDED, destination_record_id="id-a")
    heir = memory.open()
    assert set(heir.holders(["id-a"])) == {Holder("id-a", None)}
    heir.states(["a"])
    assert set(heir.holders(["id-a"])) == {Holder("id-a", "a")}


# Against a model.

NAMES = ["a", "b", "c"]
Step = tuple[str, list[str], Status]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(["claim", "settle", "unsent", "next", "fail"]),
        st.lists(st.sampled_from(NAMES), unique=True, min_size=1),
        st.sampled_from([Status.SUCCEEDED, Status.REJECTED, Status.FAILED, Status.UNKNOWN, Status.INVALID]),
    ),
    max_size=30,
)


@settings(max_examples=300)
@given(STEPS)
def test_what_is_read_is_what_was_written(steps: list[Step]) -> None:
    """A model of one row a record: what a new execution reads is what the one before was told, or a doubt."""
    memory = TaskStates()
    store = memory.store()
    ledger = memory.open()
    rows: dict[str, tuple[Status, str | None]] = {}
    for number, (what, names, status) in enumerate(steps):
        batch_id = f"{ledger.token}.{number}"
        free = {one for one in names if rows.get(one, (None,))[0] is not Status.SUCCEEDED}
        if what == "claim":
            assert claim(ledger, *names, batch_id=batch_id) == free
            rows |= dict.fromkeys(free, (Status.SENDING, batch_id))
        elif what == "settle" and status is not Status.INVALID:
            answers = [outcome(one, status, rows[one][1]) for one in names if one in rows]
            due = {one.record_identifier for one in answers
                   if rows[one.record_identifier][0] in {Status.SENDING, Status.UNKNOWN, status}
                   or status is Status.SUCCEEDED}  # fmt: skip
            assert conclude(ledger, answers) == due
            rows |= {one: (status, rows[one][1]) for one in due}
        elif what == "unsent" and status in {Status.INVALID, Status.FAILED}:
            weak = {None, Status.REJECTED, Status.INVALID, Status.FAILED}
            ledger.record_unsent([outcome(one, status, batch_id) for one in names])
            rows |= {one: (status, batch_id) for one in names if rows.get(one, (None,))[0] in weak}
        elif what == "fail" and free:
            # A claim that fails, in either way, and is given up; nothing was sent.
            store.fail("after" if status is Status.UNKNOWN else "before", on=("set",))
            with pytest.raises(LedgerError):
                claim(ledger, *free, batch_id=batch_id)
            store.heal()
            ledger.record_outcomes([outcome(one, Status.FAILED, batch_id) for one in free])
            rows |= dict.fromkeys(free, (Status.FAILED, batch_id))
        elif what == "next":
            ledger = memory.open()
        for reader in (ledger, memory.look()):
            assert {one: (row.status, row.batch_id) for one, row in reader.states(NAMES).items()} == rows
    # A write that arrives late can then take nothing away.
    assert all(len(set(store.history[key])) == 1 for key in store.steps())


# Airflow's store.


class ToldError(Exception):
    """An error as the supervisor hands it on."""

    def __init__(self, detail: Any) -> None:
        super().__init__("secret")
        self.error = type("ErrorResponse", (), {"detail": detail})()


NOT_FOUND = {"reason": "not_found", "message": "Task instance not found"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ToldError({"status_code": 404, "detail": {"detail": NOT_FOUND}}), SupersededError),
        (ToldError({"status_code": 404}), SupersededError),
        (ToldError({"status_code": 410}), SupersededError),
        (ToldError({"status_code": 404, "detail": {"detail": "Not Found"}}), StoreRefusedError),
        (ToldError({"status_code": 403}), StoreRefusedError),
        (ToldError({"status_code": 405, "message": "secret"}), StoreRefusedError),
        (ToldError({"status_code": 503}), LedgerError),
        (ToldError({"status_code": None}), LedgerError),
        (ToldError(None), LedgerError),
        (ValueError("secret"), LedgerError),
        (OSError("secret"), LedgerError),
    ],
)
def test_every_failure_of_airflow_is_one_of_ours(error: Exception, kind: type[LedgerError]) -> None:
    store = StateStore(error=error)
    store.fail()
    with pytest.raises(LedgerError) as caught:
        AirflowStore(store).set("k", 1)
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_what_is_kept_outlives_every_retention(store: StateStore) -> None:
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined, unused-ignore]  # until 3.3

    ledger = open_task_state(store, "r", Binding(sync_id="s", **PLACE), first=True, plan_only=False)
    assert ledger is not None
    assert claim(ledger, "one") == {"one"}
    assert store.retentions == {NEVER_EXPIRE}


def test_without_a_store_there_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert open_task_state(None, "r", Binding(sync_id="s", **PLACE), first=True, plan_only=False) is None
    (message,) = caplog.messages
    assert "no task state store" in message
    assert "sends the same records again" in message
