"""A part of the memory in Airflow's task state store is gone or another: nothing that may have been sent is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.engine.policy import Decision, decide
from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.task_state.open_state import Opening, begin_memory, open_task_state
from airflow_provider_contacts.ledgers.task_state.state_ledger import TaskStateLedger
from airflow_provider_contacts.outcome import Status
from tests.support.ledger_conformance import HOST, OBJECT, claim, marks, outcome, settle

PLACE: dict[str, Any] = {"destination": "nedzo", "destination_host": HOST, "destination_object": OBJECT}
RUN = "dag/run/task/-1"
NAMES = [f"k{number}" for number in range(6)]
GONE = "{gone}"


@dataclass
class Kept:
    """What ``context["task_state_store"]`` keeps, and every value that a key ever had."""

    values: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[str]] = field(default_factory=dict)
    fails_at: str = ""

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:  # noqa: ARG002  # Airflow's signature
        if key == self.fails_at:
            raise OSError("the worker dies here")
        self.values[key] = json.dumps(value)
        self.history.setdefault(key, []).append(self.values[key])


def begin(store: Kept, *, first: bool = False, resend: bool = False, **changes: Any) -> TaskStateLedger:
    begin_memory(store, first=first, resend=resend)
    named: dict[str, Any] = {"sync_run_id": RUN, "sync_id": "sync", **PLACE, **changes}
    ledger = open_task_state(Opening(accessor=store, first=first, plan_only=False, **named))
    assert ledger is not None
    return ledger


def sends(ledger: TaskStateLedger) -> set[str]:
    """Return the records that the engine would send, on ``on_unknown="hold"``."""
    standing = ledger.standing(NAMES)
    decisions = {
        name: decide(
            standing.get(name), "v1:abc", fit=True, token=ledger.token, sync_run_id=RUN, on_unknown="hold"
        )
        for name in NAMES
    }  # fmt: skip
    return {name for name, decision in decisions.items() if decision is Decision.SEND}


def sent_again(store: Kept) -> set[str] | None:
    """Return what a next try sends; ``None`` where it refuses to."""
    try:
        return sends(begin(store))
    except (LedgerError, ConfigError) as error:
        told = str(error)
    assert "nothing is sent" in told
    assert "on_unknown" in told
    return None


def two_tries(**second: Any) -> Kept:
    """Return the memory of two tries with every kind of entry."""
    store = Kept()
    ledger = begin(store, first=True)
    for number, status in enumerate([Status.SUCCEEDED, Status.UNKNOWN, Status.FAILED, Status.REJECTED]):
        claim(ledger, NAMES[number])
        settle(ledger, NAMES[number], status)
    ledger.note([outcome(NAMES[5], Status.INVALID, f"{ledger.token}.note")])
    heir = begin(store, **second)
    claim(heir, NAMES[2], NAMES[4])
    settle(heir, NAMES[2], Status.SUCCEEDED)
    return store


MAY_EXIST = {NAMES[0], NAMES[1], NAMES[2], NAMES[4]}


def test_a_whole_memory_sends_nothing_that_may_exist() -> None:
    sent = sent_again(two_tries())
    assert sent is not None
    assert not sent & MAY_EXIST


KEYS = sorted(two_tries().values)


def test_every_kind_of_key_is_there() -> None:
    assert [
        "contacts",
        "contacts.1",
        *(f"contacts.1.{one}" for one in range(1, 6)),
        "contacts.2",
        "contacts.2.1",
    ] == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_each_key_that_is_deleted_is_missed(key: str) -> None:
    store = two_tries()
    del store.values[key]
    with pytest.raises(LedgerError, match=rf"the key {key} .*nothing is sent.*on_unknown"):
        begin(store)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_of_another_sync_id_is_missed(key: str) -> None:
    # What was sent under it is looked at before a contact is taken for ours.
    store = two_tries(sync_id="other")
    del store.values[key]
    with pytest.raises(LedgerError, match=f"the key {key} "):
        begin(store)


@settings(max_examples=300, deadline=None)
@given(st.sets(st.sampled_from(KEYS), min_size=1))
def test_whatever_is_deleted_nothing_is_sent(lost: set[str]) -> None:
    store = two_tries()
    for key in lost:
        del store.values[key]
    assert sent_again(store) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_values_that_were_rolled_back_send_nothing_that_may_exist(data: st.DataObject) -> None:
    store = two_tries()
    for key in data.draw(st.sets(st.sampled_from(KEYS), min_size=1)):
        store.values[key] = data.draw(st.sampled_from(store.history[key]))
    sent = sent_again(store)
    assert sent is None or not sent & MAY_EXIST


def entries_of(value: Any) -> list[Any]:
    found: list[Any] = value["entries"]
    return found


CHANGES: dict[str, Any] = {
    "an entry is gone": lambda value: entries_of(value).pop(),
    "all entries are gone": lambda value: entries_of(value).clear(),
    "another status": lambda value: entries_of(value)[0].__setitem__(1, "failed"),
    "another record": lambda value: entries_of(value)[0].__setitem__(0, "0" * 32),
    "another batch": lambda value: entries_of(value)[0].__setitem__(2, "x.9"),
    "no digest": lambda value: value.pop("sum"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("key", ["contacts.1.1", "contacts.2.1"])
def test_a_changed_segment_is_noticed(key: str, change: str) -> None:
    store = two_tries()
    value = store.get(key)
    CHANGES[change](value)
    store.values[key] = json.dumps(value)
    with pytest.raises(LedgerError, match=f"the key {key} is not what was written"):
        begin(store)


@pytest.mark.parametrize(
    "change",
    [{"segments": 0}, {"entries": 0}, {"sync_id": "other"}, {"place": ["nedzo", HOST, "x"]}, {"token": "x"},
     {"began": 1.0}, {"run": "dag/other/task/-1"}, {"version": 1}, {"version": 3}, {"segments": None}],
)  # fmt: skip
@pytest.mark.parametrize("key", ["contacts.1", "contacts.2"])
def test_a_changed_execution_is_noticed(key: str, change: dict[str, Any]) -> None:
    store = two_tries()
    store.values[key] = json.dumps(store.get(key) | change)
    with pytest.raises(LedgerError, match=f"the key {key} "):
        begin(store)


def test_values_of_another_version_are_named_so() -> None:
    store = two_tries()
    store.values["contacts.1"] = json.dumps(store.get("contacts.1") | {"version": 1})
    with pytest.raises(LedgerError, match="another version of this package"):
        begin(store)


@pytest.mark.parametrize("one", KEYS)
@pytest.mark.parametrize("other", KEYS)
def test_two_keys_that_were_exchanged_are_noticed(one: str, other: str) -> None:
    store = two_tries()
    store.values[one], store.values[other] = store.values[other], store.values[one]
    assert (sent_again(store) is None) is (one != other)


@pytest.mark.parametrize("key", KEYS)
def test_a_value_of_another_task_is_noticed(key: str) -> None:
    store, other = two_tries(), Kept()
    claim(begin(other, first=True, sync_run_id="dag/run/other/-1"), *NAMES)
    begin(other, sync_run_id="dag/run/other/-1")
    alike = {"contacts.2.1": "contacts.1.1"} | {f"contacts.1.{number}": "contacts.1.1" for number in range(1, 6)}
    store.values[key] = other.values[alike.get(key, key)]
    assert sent_again(store) is None


def test_the_memory_of_another_task_is_noticed() -> None:
    other = Kept()
    claim(begin(other, first=True, sync_run_id="dag/run/other/-1"), *NAMES)
    with pytest.raises(LedgerError, match="belongs to the run dag/run/other/-1"):
        begin(other)


# A crash is no loss.


def push_two(store: Kept) -> None:
    ledger = begin(store, first=True)
    claim(ledger, NAMES[0])
    claim(ledger, NAMES[1])


@pytest.mark.parametrize("key", ["contacts.1", "contacts", "contacts.1.1", "contacts.1.2"])
def test_a_worker_that_dies_between_two_writes_leaves_no_hole(key: str) -> None:
    store = Kept()
    begin_memory(store, first=True, resend=False)
    store.fails_at = key
    with pytest.raises(LedgerError):
        push_two(store)
    store.fails_at = ""
    heir = begin(store)
    assert len(sends(heir)) >= 5
    assert claim(heir, *NAMES)


def test_a_mark_that_is_not_counted_yet_was_not_sent() -> None:
    store = Kept()
    ledger = begin(store, first=True)
    store.fails_at = "contacts.1"
    (one,) = marks(ledger, NAMES[0])
    with pytest.raises(LedgerError):
        ledger.claim([one])
    store.fails_at = ""
    assert begin(store).standing(NAMES)[NAMES[0]].status is Status.SENDING


# An empty one.


@pytest.mark.parametrize("written", [False, True])
def test_an_empty_store_is_a_beginning_for_the_first_execution_alone(written: bool) -> None:
    store = Kept()
    if written:
        claim(begin(store, first=True), *NAMES)
        store.values.clear()
    with pytest.raises(ConfigError, match=r"clear_on_success.*nothing is sent.*on_unknown=\"resend\""):
        begin_memory(store, first=False, resend=False)
    assert store.values == {}
    assert sends(begin(store, resend=True)) == set(NAMES)


def test_a_first_execution_that_came_to_nothing_is_known_to_have_sent_nothing() -> None:
    store = Kept()
    begin_memory(store, first=True, resend=False)
    assert sends(begin(store)) == set(NAMES)


def test_without_a_store_a_second_execution_is_refused() -> None:
    begin_memory(None, first=True, resend=False)
    begin_memory(None, first=False, resend=True)
    with pytest.raises(ConfigError, match=r"no task state store.*on_unknown=\"resend\""):
        begin_memory(None, first=False, resend=False)
