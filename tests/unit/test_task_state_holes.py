"""A part of the memory in Airflow's task state store is gone: nothing that may have been sent is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.engine.policy import Decision, decide
from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.task_state.open_state import begin_memory, open_task_state
from airflow_provider_contacts.ledgers.task_state.state_ledger import TaskStateLedger
from airflow_provider_contacts.outcome import Status
from tests.airflow_harness import needs_state_store
from tests.support.ledger_conformance import HOST, OBJECT, claim, outcome, settle
from tests.support.state_store import StateStore

pytestmark = needs_state_store
RUN = "dag/run/task/-1"
NAMES = [f"k{number}" for number in range(6)]


def begin(store: StateStore, *, first: bool = False, resend: bool = False, sync_id: str = "sync") -> TaskStateLedger:
    begin_memory(store, first=first, resend=resend)
    binding = Binding(sync_id=sync_id, destination="nedzo", destination_host=HOST, destination_object=OBJECT)
    ledger = open_task_state(store, RUN, binding, first=first, plan_only=False)
    assert ledger is not None
    return ledger


def sends(ledger: TaskStateLedger) -> set[str]:
    """Return the records that the engine would send, on ``on_unknown="hold"``."""
    states = ledger.states(NAMES)
    return {
        name
        for name in NAMES
        if decide(states.get(name), "v1:abc", fit=True, token=ledger.token, sync_run_id=RUN, on_unknown="hold")
        is Decision.SEND
    }


def sent_again(store: StateStore) -> set[str] | None:
    """Return what a next try sends; ``None`` where it refuses to."""
    try:
        return sends(begin(store))
    except (LedgerError, ConfigError) as error:
        told = str(error)
    assert "nothing is sent" in told
    assert "on_unknown" in told
    return None


def two_tries(**second: Any) -> StateStore:
    """Return the memory of two tries with every kind of entry."""
    store = StateStore()
    ledger = begin(store, first=True)
    for number, status in enumerate([Status.SUCCEEDED, Status.UNKNOWN, Status.FAILED, Status.REJECTED]):
        claim(ledger, NAMES[number])
        settle(ledger, NAMES[number], status)
    ledger.record_unsent([outcome(NAMES[5], Status.INVALID, f"{ledger.token}.note")])
    heir = begin(store, **second)
    claim(heir, NAMES[2], NAMES[4])
    settle(heir, NAMES[2], Status.SUCCEEDED)
    return store


MAY_EXIST = {NAMES[0], NAMES[1], NAMES[2], NAMES[4]}
KEYS = [
    "contacts", "contacts.1", *(f"contacts.1.{one}" for one in range(1, 10)), "contacts.2", "contacts.2.1",
    "contacts.2.2",
]  # fmt: skip


def test_a_whole_memory_sends_nothing_that_may_exist() -> None:
    store = two_tries()
    assert sorted(store.kept) == KEYS
    sent = sent_again(store)
    assert sent is not None
    assert not sent & MAY_EXIST


# What was sent under another sync_id is looked at before a contact is taken for ours.
@pytest.mark.parametrize("sync_id", ["sync", "other"])
@pytest.mark.parametrize("key", KEYS)
def test_each_key_that_is_deleted_is_missed(key: str, sync_id: str) -> None:
    store = two_tries(sync_id=sync_id)
    del store.kept[key]
    with pytest.raises(LedgerError, match=rf"the key {key} .*nothing is sent.*on_unknown"):
        begin(store)


@settings(max_examples=300)
@given(st.sets(st.sampled_from(KEYS), min_size=1))
def test_whatever_is_deleted_nothing_is_sent(lost: set[str]) -> None:
    store = two_tries()
    for key in lost:
        del store.kept[key]
    assert sent_again(store) is None


@settings(max_examples=300)
@given(st.data())
def test_values_that_were_rolled_back_send_nothing_that_may_exist(data: st.DataObject) -> None:
    store = two_tries()
    for key in data.draw(st.sets(st.sampled_from(KEYS), min_size=1)):
        store.kept[key] = data.draw(st.sampled_from(store.history[key]))
    sent = sent_again(store)
    assert sent is None or not sent & MAY_EXIST


@pytest.mark.parametrize("value", ["text", 1, {"number": "1"}, [["x"]]], ids=str)
@pytest.mark.parametrize("key", KEYS)
def test_what_somebody_else_wrote_is_noticed(key: str, value: Any) -> None:
    store = two_tries()
    store.kept[key] = json.dumps(value)
    with pytest.raises(LedgerError, match=f"the key {key} is not what this version of the package has written"):
        begin(store)


def test_an_execution_of_another_version_is_noticed() -> None:
    store = two_tries()
    store.kept["contacts.1"] = json.dumps(store.get("contacts.1") | {"version": 3})
    with pytest.raises(LedgerError, match=r"the key contacts.1 .* this version of the package"):
        begin(store)


# A crash is no loss.


def push_two(store: StateStore) -> None:
    ledger = begin(store, first=True)
    claim(ledger, NAMES[0])
    claim(ledger, NAMES[1])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("key", ["contacts.1", "contacts", "contacts.1.1", "contacts.1.2"])
def test_a_worker_that_dies_at_a_write_leaves_no_hole(key: str, when: str) -> None:
    store = StateStore()
    begin_memory(store, first=True, resend=False)
    store.fail(when, on=("set",), key=key)
    with pytest.raises(LedgerError):
        push_two(store)
    store.heal()
    heir = begin(store)
    assert len(sends(heir)) >= 4
    assert claim(heir, *NAMES)


# An empty one.


@pytest.mark.parametrize("written", [False, True])
def test_an_empty_store_is_a_beginning_for_the_first_execution_alone(written: bool) -> None:
    store = StateStore()
    if written:
        claim(begin(store, first=True), *NAMES)
        store.kept.clear()
    with pytest.raises(ConfigError, match=r"clear_on_success.*nothing is sent.*on_unknown=\"resend\""):
        begin_memory(store, first=False, resend=False)
    assert store.kept == {}
    assert sends(begin(store, resend=True)) == set(NAMES)


def test_without_a_store_a_second_execution_is_refused() -> None:
    begin_memory(None, first=True, resend=False)
    begin_memory(None, first=False, resend=True)
    with pytest.raises(ConfigError, match=r"no task state store.*on_unknown=\"resend\""):
        begin_memory(None, first=False, resend=False)
