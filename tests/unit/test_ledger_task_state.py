from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.errors import ConfigError, LedgerError, SupersededError
from airflow_provider_contacts.ledgers.task_state.entries import DIGITS, Entry, decoded, encoded, key_of
from airflow_provider_contacts.ledgers.task_state.journal import FRESH_BYTES, MOST_BYTES, sum_of
from airflow_provider_contacts.ledgers.task_state.open_state import (
    AirflowStore,
    Opening,
    StoreRefusedError,
    open_task_state,
)
from airflow_provider_contacts.ledgers.task_state.state_ledger import TaskStateLedger
from airflow_provider_contacts.outcome import Status, digest_of
from airflow_provider_contacts.records.record_state import Holder
from tests.support.ledger_conformance import (
    HOST,
    OBJECT,
    EveryLedger,
    claim,
    mark,
    marks,
    outcome,
    settle,
    standing_outside,
)

Trouble = Callable[[str, str], str | None]
"""Asked with the method and the key; ``"before"`` and ``"after"`` say when the call fails."""

PLACE: dict[str, Any] = {"destination": "dex", "destination_host": HOST, "destination_object": OBJECT}


@dataclass
class DictStore:
    """A task state store as Airflow's: JSON goes in and comes out, and a write may fail before or after it is done."""

    kept: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    trouble: Trouble = lambda method, key: None  # noqa: ARG005  # none
    most_bytes: int = 65_535

    def get(self, key: str) -> Any:
        return self._call("get", key, lambda: json.loads(self.kept[key]) if key in self.kept else None)

    def set(self, key: str, value: Any) -> None:
        text = json.dumps(value, allow_nan=False)
        assert value is not None
        assert key.isascii()
        if len(text) > self.most_bytes:
            raise LedgerError("too large")
        self._call("set", key, lambda: self.kept.update({key: text}))

    def _call(self, method: str, key: str, call: Callable[[], Any]) -> Any:
        self.calls.append((method, key))
        when = self.trouble(method, key)
        if when == "before":
            raise LedgerError("the store is away")
        answer = call()
        if when == "after":
            raise LedgerError("the answer was lost")
        return answer

    def sets(self) -> list[str]:
        return [key for method, key in self.calls if method == "set"]

    def values(self) -> dict[str, Any]:
        return {key: json.loads(text) for key, text in self.kept.items()}


@dataclass
class TaskStates:
    """The stores of the runs of one task."""

    stores: dict[str, DictStore] = field(default_factory=dict)
    keeps_texts: bool = False

    def store(self, run_id: str = "run") -> DictStore:
        return self.stores.setdefault(run_id, DictStore())

    def open(self, run_id: str = "run", try_number: int = 1, **changes: Any) -> TaskStateLedger:
        assert try_number
        named = {"sync_run_id": f"dag/{run_id}/task/-1", "sync_id": "sync", **PLACE, **changes}
        return TaskStateLedger.open(self.store(run_id), **named)

    def look(self) -> Ledger:
        return self.open(register=False)

    def count(self) -> int:
        ledger = self.open(register=False)
        return len(ledger._known)

    def destroy(self) -> None:
        def fail(method: str, key: str) -> str:  # noqa: ARG001  # whatever it is
            return "before"

        self.store().trouble = fail


@pytest.fixture
def memory() -> TaskStates:
    return TaskStates()


@pytest.fixture
def store(memory: TaskStates) -> DictStore:
    return memory.store()


class TestTaskState(EveryLedger):
    pass


# What is written.


def test_nothing_tells_who_a_record_is(memory: TaskStates, store: DictStore) -> None:
    ledger = memory.open()
    claim(ledger, "ada@example.com", "bo@example.com", payload={"phone": "+15550100"})
    said: dict[str, Any] = {"status_message": "ada is taken", "error_code": "taken", "error_field": "email"}
    settle(ledger, "ada@example.com", Status.REJECTED, **said)
    ledger.note([outcome("eve@example.com", Status.INVALID, payload={"email": "eve"}, **said)])
    stored = repr(store.values())
    assert not any(word in stored for word in ("ada", "bo@", "eve", "example.com", "+1555"))
    assert "taken" in stored
    assert digest_of("ada@example.com") in stored, "a log's digest finds the entry"
    assert len(key_of("x")) == DIGITS


def test_the_shape_that_is_written(memory: TaskStates, store: DictStore) -> None:
    ledger = memory.open(token="t1", now=lambda: 1000.5)
    one = mark(ledger, "one", batch_id="t1.1")
    ledger.claim([one])
    ledger.settle([outcome("one", Status.SUCCEEDED, "t1.1", destination_record_id="id", http_status=201)])
    entries = [[key_of("one"), "succeeded", "1", 1, "v1:abc", "id", 201]]
    assert store.values() == {
        "contacts": {"token": "t1", "number": 1},
        "contacts.1": {
            "version": 2,
            "token": "t1",
            "run": "dag/run/task/-1",
            "sync_id": "sync",
            "place": ["dex", HOST, OBJECT],
            "began": 1000.5,
            "segments": 1,
            "entries": 1,
            "sum": store.values()["contacts.1"]["sum"],
        },
        "contacts.1.1": {"entries": entries, "sum": sum_of("t1", 0, entries)},
    }


def test_a_mark_of_an_earlier_execution_may_be_as_old_as_that_one(memory: TaskStates) -> None:
    first = memory.open(now=lambda: 1000.0)
    claim(first, "one")
    assert first.standing(["one"])["one"].oldest is None
    later = memory.open(now=lambda: 1600.0)
    standing = later.standing(["one"])["one"]
    assert standing.age < 30
    assert standing.oldest == 600.0
    settle(later, "one", Status.UNKNOWN)
    assert later.standing(["one"])["one"].oldest == 600.0
    # Another worker's clock may be ahead of ours.
    oldest = memory.open(now=lambda: 900.0).standing(["one"])["one"].oldest
    assert oldest is not None
    assert oldest < 30


def test_a_claim_of_many_is_two_writes_and_one_look(memory: TaskStates, store: DictStore) -> None:
    ledger = memory.open()
    fresh = marks(ledger, *map(str, range(100)))
    store.calls.clear()
    ledger.claim(fresh)
    assert store.calls == [("set", "contacts.1.1"), ("set", "contacts.1"), ("get", "contacts")]
    store.calls.clear()
    ledger.settle([outcome(one.record_identifier, Status.SUCCEEDED, one.batch_id) for one in fresh])
    assert store.calls == [("set", "contacts.1.1")]


def test_nothing_is_written_that_stands_already(memory: TaskStates, store: DictStore) -> None:
    ledger = memory.open()
    (sent,) = marks(ledger, "one")
    ledger.claim([sent])
    ledger.settle([outcome("one", Status.FAILED, sent.batch_id)])
    store.calls.clear()
    assert set(ledger.settle([outcome("one", Status.FAILED, sent.batch_id)])) == {"one"}
    ledger.note([])
    assert store.calls == []


def test_every_value_has_its_size(memory: TaskStates, store: DictStore) -> None:
    ledger = memory.open()
    fresh = marks(ledger, *map(str, range(2000)), payload_hash="v1:" + "a" * 64)
    ledger.claim(fresh)
    assert max(map(len, store.kept.values())) <= FRESH_BYTES + 100
    long = "\U0001f600" * 300
    answers = [
        outcome(one.record_identifier, Status.REJECTED, one.batch_id, destination_record_id=long, error_code=long,
                error_field=long)
        for one in fresh
    ]  # fmt: skip
    assert len(set(ledger.settle(answers))) == 2000
    assert max(map(len, store.kept.values())) <= MOST_BYTES + 100
    standing = memory.open().standing([one.record_identifier for one in fresh])
    assert {one.status for one in standing.values()} == {Status.REJECTED}
    assert {one.destination_record_id for one in standing.values()} == {"\U0001f600" * 255}
    assert {one.payload_hash for one in standing.values()} == {"v1:" + "a" * 64}


def test_no_mark_is_ever_added_to_a_value_that_exists(memory: TaskStates, store: DictStore) -> None:
    # A write that arrives late, over the one that followed it, can then take no mark away.
    ledger = memory.open()
    named: dict[str, set[str]] = {}
    for number in range(50):
        claim(ledger, f"a{number}", f"b{number}")
        settle(ledger, f"a{number}", Status.FAILED)
        if number % 3 == 0:
            claim(ledger, f"a{number}")
        for key, value in store.values().items():
            if key.count(".") == 2:
                assert named.setdefault(key, {one[0] for one in value["entries"]}) == {
                    one[0] for one in value["entries"]
                }


@pytest.mark.parametrize("late", range(1, 9))
def test_a_late_write_brings_back_a_doubt_at_most(memory: TaskStates, store: DictStore, late: int) -> None:
    ledger = memory.open()
    written: list[tuple[str, str]] = []

    def keep(method: str, key: str) -> None:  # noqa: ARG001  # whatever is asked for
        if method == "get" and "contacts.1.1" in store.kept:
            written.append(("contacts.1.1", store.kept["contacts.1.1"]))

    store.trouble = keep
    for number in range(8):
        claim(ledger, f"k{number}")
        settle(ledger, f"k{number}", Status.SUCCEEDED)
    key, text = written[min(late, len(written)) - 1]
    store.trouble = lambda method, key: None  # noqa: ARG005
    store.kept[key] = text
    standing = memory.open().standing([f"k{number}" for number in range(8)])
    assert len(standing) == 8
    assert {one.status for one in standing.values()} <= {Status.SUCCEEDED, Status.SENDING}


# Failures.


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_mark_whose_fate_is_not_known_raises_and_can_be_undone(
    memory: TaskStates, store: DictStore, when: str
) -> None:
    ledger = memory.open()
    fresh = marks(ledger, "one", "two")
    store.trouble = lambda method, key: when if (method, key) == ("set", "contacts.1.1") else None
    with pytest.raises(LedgerError):
        ledger.claim(fresh)
    answers = [outcome(one.record_identifier, Status.FAILED, one.batch_id, attempts=0) for one in fresh]
    with pytest.raises(LedgerError):
        ledger.settle(answers)
    store.trouble = lambda method, key: None  # noqa: ARG005
    assert set(ledger.settle(answers)) == {"one", "two"}
    assert standing_outside(memory, "one")[0] is Status.FAILED
    assert claim(memory.open(), "one", "two") == {"one", "two"}


def test_marks_that_were_written_before_a_later_segment_failed_are_doubts(memory: TaskStates, store: DictStore) -> None:
    ledger = memory.open()
    names = [str(number) for number in range(1000)]
    store.trouble = lambda method, key: "before" if (method, key) == ("set", "contacts.1.3") else None
    with pytest.raises(LedgerError):
        claim(ledger, *names)
    store.trouble = lambda method, key: None  # noqa: ARG005
    left = memory.open().standing(names)
    assert 0 < len(left) < 1000
    assert {one.status for one in left.values()} == {Status.SENDING}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_is_offered_again_until_it_is_written(memory: TaskStates, store: DictStore, when: str) -> None:
    ledger = memory.open()
    (sent,) = marks(ledger, "one")
    ledger.claim([sent])
    answer = [outcome("one", Status.SUCCEEDED, sent.batch_id, destination_record_id="id")]
    store.trouble = lambda method, key: when if method == "set" else None  # noqa: ARG005
    for _ in range(3):
        with pytest.raises(LedgerError):
            ledger.settle(answer)
    store.trouble = lambda method, key: None  # noqa: ARG005
    assert set(ledger.settle(answer)) == {"one"}
    assert standing_outside(memory, "one")[0] is Status.SUCCEEDED


def test_a_store_that_refuses_the_size_raises(memory: TaskStates, store: DictStore) -> None:
    ledger = memory.open()
    store.most_bytes = 1000
    with pytest.raises(LedgerError, match="too large"):
        claim(ledger, *map(str, range(100)))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(8))
def test_an_execution_that_cannot_begin_leaves_nothing_that_misleads(
    memory: TaskStates, store: DictStore, call: int, when: str
) -> None:
    claim(memory.open(), "one")
    counted = len(store.calls)
    store.trouble = lambda method, key: when if len(store.calls) == counted + call + 1 else None  # noqa: ARG005
    failed = False
    try:
        memory.open()
    except LedgerError:
        failed = True
    store.trouble = lambda method, key: None  # noqa: ARG005
    assert failed is (call < 7)
    third = memory.open()
    assert third.standing(["one"])["one"].status is Status.SENDING
    assert claim(third, "one", "two") == {"one", "two"}


def test_a_newer_execution_that_registers_during_a_claim_is_seen(memory: TaskStates, store: DictStore) -> None:
    older = memory.open()
    newer: list[TaskStateLedger] = []

    def intrude(method: str, key: str) -> None:
        if (method, key) == ("set", "contacts.1.1") and not newer:
            newer.append(TaskStateLedger.open(
                DictStore(store.kept), sync_run_id=older.sync_run_id, sync_id="sync", **PLACE))  # fmt: skip

    store.trouble = intrude
    with pytest.raises(SupersededError):
        claim(older, "one")
    assert newer[0].standing(["one"]) == {}
    assert claim(newer[0], "one") == {"one"}
    assert standing_outside(memory, "one")[1].startswith(newer[0].token)  # type: ignore[union-attr]


def test_marks_that_cannot_be_taken_back_are_doubts(memory: TaskStates, store: DictStore) -> None:
    older = memory.open()
    memory.open()
    store.trouble = lambda method, key: "before" if store.sets().count("contacts.1.1") > 1 else None  # noqa: ARG005
    with pytest.raises(SupersededError):
        claim(older, "one")
    store.trouble = lambda method, key: None  # noqa: ARG005
    assert standing_outside(memory, "one")[0] is Status.SENDING


@pytest.mark.parametrize("resent", [False, True])
def test_the_confirmation_of_an_older_execution_stands_over_the_doubt_of_a_newer_one(
    memory: TaskStates, resent: bool
) -> None:
    older = memory.open()
    (sent,) = marks(older, "one")
    older.claim([sent])
    newer = memory.open()
    if resent:
        claim(newer, "one")
    settle(newer, "one", Status.UNKNOWN)
    assert set(older.settle([outcome("one", Status.SUCCEEDED, sent.batch_id)])) == {"one"}
    assert standing_outside(memory, "one")[:2] == (Status.SUCCEEDED, sent.batch_id)


def test_a_store_that_was_cleared_under_a_running_push_ends_it(memory: TaskStates, store: DictStore) -> None:
    ledger = memory.open()
    claim(ledger, "one")
    store.kept.clear()
    with pytest.raises(SupersededError, match="cleared"):
        claim(ledger, "two")


# What was written before.


def grown(memory: TaskStates, segments: int) -> None:
    ledger = memory.open()
    for number in range(segments):
        claim(ledger, f"k{number}")


def test_segments_are_found_without_a_list_of_keys(memory: TaskStates, store: DictStore) -> None:
    grown(memory, 40)
    assert store.values()["contacts.1"]["segments"] == 40
    assert len(memory.open().standing([f"k{number}" for number in range(40)])) == 40


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("contacts", "text"),
        ("contacts", {"number": "1"}),
        ("contacts", {"number": 1, "token": "another"}),
        ("contacts", {"number": -1, "token": ""}),
        ("contacts.1", []),
        ("contacts.1", {"version": 1}),
        ("contacts.1", {"version": 2, "token": "t", "sync_id": "s", "place": ["dex"], "segments": 0}),
        ("contacts.1.1", []),
        ("contacts.1.1", "text"),
        ("contacts.1.1", {"entries": []}),
        ("contacts.1.1", {"entries": [], "sum": "0"}),
    ],
)
def test_what_somebody_else_wrote_is_told(memory: TaskStates, store: DictStore, key: str, value: Any) -> None:
    claim(memory.open(), "one")
    store.kept[key] = json.dumps(value)
    with pytest.raises(LedgerError, match=f"the key {key} "):
        memory.open()


@pytest.mark.parametrize(
    "entry",
    [
        None,
        ["k"],
        ["k", "Succeeded", None, 1],
        ["k", "skipped", None, 1],
        ["k", "failed", 1, 1],
        ["k", "failed", None, "1"],
        ["k", "failed", None, 1, 7],
        ["k", "failed", None, 1, *[None] * 7],
    ],
)
def test_an_entry_that_nobody_writes_is_told(entry: Any) -> None:
    with pytest.raises(LedgerError):
        decoded(entry, "t")


def test_a_plan_reads_and_writes_nothing(memory: TaskStates, store: DictStore) -> None:
    older = memory.open()
    claim(older, "one")
    before = dict(store.kept)
    plan = memory.open(register=False)
    assert plan.standing(["one"])["one"].status is Status.SENDING
    assert store.kept == before
    assert claim(older, "two") == {"two"}, "a plan takes nothing over"


def test_a_mistaken_destination_that_sent_nothing_does_not_bind(memory: TaskStates) -> None:
    memory.open(destination_object="a typo")
    claim(memory.open(), "one")
    with pytest.raises(ConfigError, match="another sync_id"):
        memory.open(destination_object="a typo")


def test_nobodys_clock_makes_a_mark_old(memory: TaskStates) -> None:
    now = [1000.0]
    ledger = memory.open(monotonic=lambda: now[0])
    claim(ledger, "one")
    now[0] += 30
    assert ledger.standing(["one"])["one"].age == 30
    now[0] = 5.0
    heir = memory.open(monotonic=lambda: now[0])
    assert heir.standing(["one"])["one"].age == 0
    now[0] = 70.0
    assert (heir.standing(["one"])["one"].age, heir.standing(["one"])["one"].ended) == (65, None)
    settle(heir, "one", Status.UNKNOWN)
    now[0] = 80.0
    assert (heir.standing(["one"])["one"].age, heir.standing(["one"])["one"].ended) == (75, 10)


def test_a_record_that_was_not_asked_about_holds_its_contact_as_another_would(memory: TaskStates) -> None:
    ledger = memory.open()
    claim(ledger, "a")
    settle(ledger, "a", Status.SUCCEEDED, destination_record_id="id-a")
    heir = memory.open()
    assert set(heir.holders(["id-a"])) == {Holder("id-a", None)}
    heir.standing(["a"])
    assert set(heir.holders(["id-a"])) == {Holder("id-a", "a")}


# Against a model.

NAMES = ["a", "b", "c"]
Step = tuple[str, list[str], Status]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(["claim", "settle", "note", "next", "die", "fail"]),
        st.lists(st.sampled_from(NAMES), unique=True, min_size=1),
        st.sampled_from([Status.SUCCEEDED, Status.REJECTED, Status.FAILED, Status.UNKNOWN, Status.INVALID]),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_what_is_read_is_what_was_written(steps: list[Step]) -> None:
    """A model of one row a record: what a new execution reads is what the one before was told, or a doubt."""
    memory = TaskStates()
    store = memory.store()
    ledger = memory.open()
    rows: dict[str, tuple[Status, str | None]] = {}
    for what, names, status in steps:
        if what == "claim":
            wanted = marks(ledger, *names)
            expected = {one for one in names if rows.get(one, (None,))[0] is not Status.SUCCEEDED}
            assert set(ledger.claim(wanted)) == expected
            rows |= {one.record_identifier: (Status.SENDING, one.batch_id) for one in wanted
                     if one.record_identifier in expected}  # fmt: skip
        elif what == "settle" and status is not Status.INVALID:
            answers = [outcome(one, status, rows[one][1]) for one in names if one in rows]
            due = {
                one.record_identifier
                for one in answers
                if one.batch_id and (rows[one.record_identifier][0] in {Status.SENDING, Status.UNKNOWN, status}
                                     or status is Status.SUCCEEDED)
            }  # fmt: skip
            assert set(ledger.settle(answers)) == due
            rows |= {one: (status, rows[one][1]) for one in due}
        elif what == "note" and status in {Status.INVALID, Status.FAILED}:
            weak = {None, Status.REJECTED, Status.INVALID, Status.FAILED}
            noted = {one: f"{ledger.token}.i{len(store.calls)}" for one in names}
            ledger.note([outcome(one, status, batch) for one, batch in noted.items()])
            rows |= {one: (status, noted[one]) for one in names if rows.get(one, (None,))[0] in weak}
        elif what == "fail":
            # A claim that fails, in either way, and is undone; nothing was sent.
            wanted = marks(ledger, *names)
            when = "after" if status is Status.UNKNOWN else "before"
            store.trouble = lambda method, key, when=when: when if method == "set" else None  # type: ignore[misc]  # noqa: ARG005
            free = [one for one in wanted if rows.get(one.record_identifier, (None,))[0] is not Status.SUCCEEDED]
            if free:
                with pytest.raises(LedgerError):
                    ledger.claim(wanted)
            store.trouble = lambda method, key: None  # noqa: ARG005
            ledger.settle([outcome(one.record_identifier, Status.FAILED, one.batch_id) for one in free])
            rows |= {one.record_identifier: (Status.FAILED, one.batch_id) for one in free}
        elif what in {"next", "die"}:
            ledger = memory.open()
        for reader in (ledger, memory.look()):
            found = {one: (row.status, row.batch_id) for one, row in reader.standing(NAMES).items()}
            assert found == rows


@given(
    st.builds(
        Entry,
        key=st.text(),
        status=st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.SENDING]),
        batch_id=st.none() | st.sampled_from(["t.1", "t.n", "u.1", "t.", "t.a.b"]),
        attempts=st.integers(0, 9),
        payload_hash=st.none() | st.text(),
        destination_record_id=st.none() | st.text(),
        http_status=st.none() | st.integers(100, 599),
        error_code=st.none() | st.text(),
        error_field=st.none() | st.text(),
    )
)
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    assert decoded(json.loads(json.dumps(encoded(entry, "t"))), "t") == entry


# Airflow's store.


class AnsweredError(Exception):
    """An error that carries an answer, as those of Airflow's client do."""

    def __init__(self, status: int, detail: Any = None) -> None:
        super().__init__("secret")
        self.response = type("Response", (), {"status_code": status})()
        self.detail = detail


class ToldError(Exception):
    """An error as the supervisor hands it on."""

    def __init__(self, detail: Any) -> None:
        super().__init__("secret")
        self.error = type("ErrorResponse", (), {"detail": detail})()


@dataclass
class Accessor:
    """What ``context["task_state_store"]`` does."""

    error: Exception | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    retentions: set[Any] = field(default_factory=set)

    def get(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        if self.error is not None:
            raise self.error
        self.kept[key] = value
        self.retentions.add(retention)


OPENING = "airflow_provider_contacts.ledgers.task_state.open_state"
NOT_FOUND = {"reason": "not_found", "message": "Task instance not found"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AnsweredError(404, {"detail": NOT_FOUND}), SupersededError),
        (AnsweredError(404), SupersededError),
        (AnsweredError(410), SupersededError),
        (AnsweredError(404, "Not Found"), StoreRefusedError),
        (AnsweredError(403), StoreRefusedError),
        (AnsweredError(500), LedgerError),
        (AnsweredError(422), LedgerError),
        (ToldError({"status_code": 404, "detail": {"detail": NOT_FOUND}}), SupersededError),
        (ToldError({"status_code": 404, "detail": {"detail": "Not Found"}}), StoreRefusedError),
        (ToldError({"status_code": 405, "message": "secret"}), StoreRefusedError),
        (ToldError({"status_code": 503}), LedgerError),
        (ToldError({"status_code": None}), LedgerError),
        (ToldError(None), LedgerError),
        (ValueError("secret"), LedgerError),
        (OSError("secret"), LedgerError),
    ],
)
def test_every_failure_of_airflow_is_one_of_ours(error: Exception, kind: type[LedgerError]) -> None:
    with pytest.raises(LedgerError) as caught:
        AirflowStore(Accessor(error)).set("k", 1)
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def opening(accessor: Any, *, first: bool = True, plan_only: bool = False) -> Opening:
    return Opening(accessor=accessor, first=first, plan_only=plan_only, sync_run_id="r", sync_id="s", **PLACE)


def test_what_is_kept_outlives_every_retention() -> None:
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # exported when asked for

    accessor = Accessor()
    ledger = open_task_state(opening(accessor))
    assert ledger is not None
    assert claim(ledger, "one") == {"one"}
    assert accessor.retentions == {NEVER_EXPIRE}


@pytest.fixture
def airflow_speaks() -> None:
    """Let Airflow set up its logging now: done in a test's middle, it takes the test's own handler away."""
    AirflowStore(Accessor()).set("key", 1)


@pytest.mark.usefixtures("airflow_speaks")
@pytest.mark.parametrize(
    ("accessor", "told"),
    [(None, "no task state store"), (Accessor(AnsweredError(403)), "HTTP status 403")],
    ids=["none", "refused"],
)
def test_without_a_store_there_is_one_warning(accessor: Any, told: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, OPENING)
    assert open_task_state(opening(accessor)) is None
    (record,) = [one for one in caplog.records if one.name == OPENING]
    assert told in record.message
    assert "sends the same records again" in record.message


def test_a_later_execution_does_not_go_on_without_what_an_earlier_one_may_have_written() -> None:
    with pytest.raises(StoreRefusedError):
        open_task_state(opening(Accessor(AnsweredError(403)), first=False))


@pytest.mark.parametrize("status", [404, 500])
def test_a_store_that_is_away_is_not_done_without(status: int) -> None:
    with pytest.raises(LedgerError):
        open_task_state(opening(Accessor(AnsweredError(status))))


@pytest.mark.usefixtures("airflow_speaks")
def test_the_warning_says_how_long_it_is_remembered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, OPENING)
    open_task_state(opening(Accessor()))
    (record,) = [one for one in caplog.records if one.name == OPENING]
    assert "the memory ends with the dag run" in record.message
    caplog.clear()
    open_task_state(opening(Accessor(), plan_only=True))
    assert [one for one in caplog.records if one.name == OPENING] == []
