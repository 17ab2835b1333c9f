"""A person who is forgotten by a task or a command, and the pushes, replays and reports behind it."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.cli.program import main
from airflow_provider_contacts.operators import (
    ForgetContactsOperator,
    ReplayContactsOperator,
    SettleContactsOperator,
)
from airflow_provider_contacts.outcome import digest_of
from airflow_provider_contacts.task.forget import WHY
from tests.airflow_harness import scope_of
from tests.support.commands import commands_know, terminal
from tests.support.pages import text_of
from tests.support.pushing import World, counts, people, push

FORGET: dict[str, Any] = {"task_id": "forget", "outcomes_conn_id": "outcomes", "retries": 3}
SYNC: dict[str, Any] = {"sync_id": "the-sync"}


def forget(keys: Any, **parameters: Any) -> Any:
    with DAG("d", schedule=None):
        return ForgetContactsOperator(**{**FORGET, **parameters}, keys=keys)


def forgotten(world: World, keys: Any, **parameters: Any) -> Any:
    """Forget persons; return the summary."""
    return world.done(forget(keys, **parameters))


def held(world: World) -> str:
    """Return every cell of the tables as one text."""
    tables = ("syncs", "runs", "batches", "records")
    return repr([world.query(f"SELECT * FROM contact_outcomes_{one}") for one in tables])


def renamed(world: World) -> list[str]:
    return [one for one in world.statuses() if one.startswith("forgotten:")]


# What a task does.


@pytest.mark.parametrize("fault", ["", "reject", "http_429", "store_then_drop", "invalid"])
def test_every_later_push_skips_a_forgotten_person(world: World, fault: str) -> None:
    rows = people(3)
    if fault == "invalid":
        rows[1]["email"] = 7
    elif fault:
        world.set(**{fault: "email~p1@" if fault == "reject" else "always"})
    world.run(push(rows, request_attempts=1, store_payload="all", **SYNC))
    world.simulator.reset(knobs=True)
    # Else a record in doubt is sent again only when its request must have ended.
    world.query("UPDATE contact_outcomes_batches SET batch_started_at = datetime(batch_started_at, '-1 hour')")
    before = world.query("SELECT * FROM contact_outcomes WHERE record_identifier = 'p1'")[0]
    summary = forgotten(world, ["p1"])
    assert summary == {
        "outcomes_table": "contact_outcomes", "num_named": 1, "num_forgotten": 1, "num_already_forgotten": 0,
        "num_absent": 0, "num_still_sending": 0, "num_ambiguous": 0, "places": {}, "digests": {},
    }  # fmt: skip
    assert not re.search(r"\bp1\b|First1", held(world))
    (name,) = renamed(world)
    assert world.statuses()[name] == before["status"]
    changed = [{**one, "first_name": "Other"} if one["key"] == "p1" else one for one in rows]
    for run_id, given, on_unknown in (("again", rows, "resend"), ("changed", changed, "reconcile")):
        op = push(given, on_unknown=on_unknown, max_unknown=9, max_rejected=9, **SYNC)
        summary = world.done(op, run_id=run_id)
        assert summary["num_changed"] == 0
        assert summary["num_skipped"] >= 1
    assert counts(summary, "planned", "skipped", "unknown") == (3, 3, 0), "the others came in the first of these runs"
    assert not [one for one in world.stored() if "p1@" in json.dumps(one)]
    assert not re.search(r"\bp1\b|First1|Other", held(world))
    assert renamed(world) == [name]


def test_a_retry_leaves_out_who_was_forgotten_since_the_first_try(world: World) -> None:
    world.set(http_429="nth:2,3")
    op = push(people(3), request_attempts=1, batch_size=1, max_in_flight=1)
    assert world.run(op).state == "up_for_retry"
    assert world.statuses()["p0"] == "succeeded" != world.statuses()["p1"]
    forgotten(world, ["p0", "p1"])
    summary = world.done(op, 2)
    assert counts(summary, "planned", "succeeded", "skipped", "changed") == (3, 1, 2, 0)
    assert summary["num_delivered"] == len(world.stored()) == 2, "what the first try delivered of them counts"


def test_outcomes_in_xcom_do_not_tie_a_name_to_what_was_forgotten(world: World) -> None:
    world.done(push(people(2)))
    forgotten(world, ["p0"])
    op = push(people(2), xcom_outcomes="all")
    found = {one["record_identifier"]: one for one in world.done(op, run_id="second")["outcomes"]}
    assert found["p0"]["status"] == "skipped"
    assert (found["p0"]["destination_record_id"], found["p1"]["destination_record_id"] is None) == (None, False)


def test_a_contact_of_a_forgotten_person_is_not_taken_for_anothers(world: World) -> None:
    world.done(push(people(1), **SYNC))
    (row,) = world.query("SELECT destination_record_id AS id FROM contact_outcomes")
    forgotten(world, ["p0"])
    world.set(store_then_drop="next:1")
    world.run(push(people(1, start=1), max_unknown=1, **SYNC), run_id="second")
    with DAG("d", schedule=None):
        settle = SettleContactsOperator(
            task_id="settle", outcomes_conn_id="outcomes", verdict="succeeded", settled_by="ada", **SYNC,
            records={"p1": row["id"]},
        )  # fmt: skip
    assert "another delivered record of this destination has" in world.refused(settle)


@pytest.mark.parametrize("sql", [None, "SELECT * FROM people"])
def test_a_replay_sends_nobody_who_was_forgotten(world: World, sql: str | None) -> None:
    world.set(http_429="always")
    world.run(push(people(3), request_attempts=1, **SYNC))
    world.set(http_429="never")
    world.fill(people(3))
    forgotten(world, ["p1"])
    source = {"sql": sql, "sql_conn_id": "warehouse", "sync_key": "key"} if sql else {}
    with DAG("d", schedule=None):
        again = ReplayContactsOperator(
            task_id="again", contacts_conn_id="dex_default", outcomes_conn_id="outcomes", **SYNC, **source
        )
    assert counts(world.done(again), "planned", "succeeded") == (2, 2)
    assert sorted(one["first_name"] for one in world.stored()) == ["First0", "First2"]


# What is named, and what is told.


def test_the_name_of_a_forgotten_person_is_nobodys_key(world: World) -> None:
    world.done(push(people(1), **SYNC))
    forgotten(world, ["p0"])
    (name,) = renamed(world)
    assert forgotten(world, [name])["num_already_forgotten"] == 1
    # As in a source that was copied from the table: it must not be taken for a person who was forgotten.
    copied = [{**people(1)[0], "key": name[:-1] + ("0" if name[-1] != "0" else "1")}]
    assert counts(world.done(push(copied, max_rejected=1, **SYNC), run_id="copied"), "invalid", "succeeded") == (1, 0)
    assert renamed(world) == [name]


def test_a_key_is_what_a_push_makes_of_it(world: World) -> None:
    alike = {
        9: 9, 2: "2", 3.0: [3], 4: Decimal("4.0"), 5: digest_of("5"), True: True, "x" * 300: "x" * 300,
        UUID(int=7): UUID(int=7), date(2026, 1, 2): date(2026, 1, 2),
    }  # fmt: skip
    world.done(push([{**people(1)[0], "key": key} for key in (*alike, 6)]))
    assert forgotten(world, list(alike.values()))["num_forgotten"] == len(alike)
    assert forgotten(world, '["6"]')["num_forgotten"] == 1


def test_several_columns_are_one_key(world: World) -> None:
    rows = [{**one, "number": place} for place, one in enumerate(people(3))]
    world.done(push(rows, sync_key=["key", "number"], unmapped="ignore"))
    assert forgotten(world, [["p0", 0], '["p1","1"]', ("p2", "9")])["num_forgotten"] == 2


@pytest.mark.parametrize("nothing", [None, [], "", "[]", "{{ none | tojson }}"])
def test_nothing_to_forget_is_no_error(world: World, nothing: Any) -> None:
    assert forgotten(world, nothing)["num_named"] == 0


def test_what_is_not_forgotten_is_told_and_the_rest_is(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.done(push(people(3)))
    world.query("UPDATE contact_outcomes_batches SET status = 'sending', batch_completed_at = NULL, body = '[1, 2, 3]'")
    world.query("UPDATE contact_outcomes_records SET batch_no = 1 WHERE record_identifier = 'p2'")
    op = forget(["p0", "p2", "nobody"])
    found = world.run(op)
    assert (found.state, type(found.error).__name__) == ("up_for_retry", "StillSendingError")
    summary = world.summary(op)
    assert summary["places"] == {"absent": [3], "still_sending": [1]}
    why = str(found.error)
    assert f"1 {WHY['still_sending']} (place 1, digest {digest_of('p0')})" in why
    assert "of 3 named persons 1 are forgotten in contact_outcomes; the others: 1 in no row of the table" in why
    assert not re.search(r"\bp\d\b|nobody", why)
    # When the request has ended, the next try forgets the rest; who is in no row is a warning.
    world.query("UPDATE contact_outcomes_batches SET status = 'succeeded', batch_completed_at = '2026-01-01', body = NULL")  # fmt: skip  # noqa: E501
    caplog.clear()
    assert world.run(op, 2).error is None
    assert counts(world.summary(op), "forgotten", "already_forgotten", "absent") == (1, 1, 1)
    assert f"place 3, digest {digest_of('nobody')}" in caplog.text


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([["a", None]], "keys: what stands at place 1 is no sync key: the sync key is empty"),
        (["a", object()], "keys: what stands at place 2 is no sync key: a value of the type object is no sync key"),
        (["a", []], "keys: what stands at place 2 is no sync key: a value of the type list is no sync key"),
        ({"a": 1}, "keys is a list of sync keys"),
        (7, "keys is a list of sync keys"),
        ("ada@example.com", "keys is text that is no JSON"),
    ],
)  # fmt: skip
def test_wrong_keys_are_told_without_what_they_are(world: World, keys: Any, told: str) -> None:
    why = world.refused(forget(keys))
    assert told in why
    assert "ada" not in why


def test_a_table_that_is_not_there_is_told(world: World) -> None:
    assert "contact_outcomes" in world.refused(forget(["p0"]))


# The command line.


@pytest.fixture
def commands(world: World) -> Any:
    world.done(push(people(3), **SYNC))
    with commands_know(world.api.connections):
        yield lambda name, *given: main([name, *given, "--outcomes-conn-id", "outcomes"])


@pytest.fixture
def why_of(commands: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what tells why, as the command prints it."""

    def asked(key: str) -> dict[str, Any]:
        capsys.readouterr()
        assert commands("why", key, "-o", "json") == 0
        (told,) = json.loads(capsys.readouterr().out)
        return dict(told)

    return asked


def test_a_command_forgets_and_why_tells_of_it(
    world: World, commands: Any, why_of: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("p0\np1\n"))
    assert commands("forget", "-") == 2, "nobody can be asked"
    assert renamed(world) == []
    monkeypatch.setattr(sys, "stdin", io.StringIO("p0\np1\n"))
    assert commands("forget", "-", "--yes", "-o", "json") == 0
    assert [one["num_forgotten"] for one in json.loads(capsys.readouterr().out)] == [2]
    assert commands("forget", "p0", "nobody", "-y") == 1
    assert f"(place 2, digest {digest_of('nobody')})" in capsys.readouterr().err
    assert commands("forget", "", "-y") == 2
    told = why_of("p0")
    assert told["record_identifier"] in renamed(world)
    assert told["meaning"].startswith("This person was forgotten")
    assert (told["next_try"], told["next_run"], told["status"]) == ("skips it", "skips it", "succeeded")
    assert commands("why", digest_of("p0")) == 1


def test_a_terminal_is_asked(world: World, commands: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal("n\n"):
        assert commands("forget", "p0", "p1") == 1
    assert (
        "Forget 2 persons in contact_outcomes of connection 'outcomes', under every sync_id?" in capsys.readouterr().err
    )
    assert renamed(world) == []


@pytest.mark.parametrize("keys", [["canary"], "{{ ['canary'] | tojson }}"])
def test_keys_are_shown_nowhere(world: World, keys: Any, said: Any) -> None:
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    world.done(push([{"key": "canary", "email": "a@example.com"}]))
    with DAG("d", schedule=None) as dag:
        op = ForgetContactsOperator(**FORGET, keys=keys)
    assert "canary" not in json.dumps(LazyDeserializedDAG.from_dag(dag).data)
    assert world.run(op).error is None
    assert world.summary(op)["num_forgotten"] == 1
    shown = json.dumps([world.api.rendered[scope_of(op)], world.summary(op)])
    assert "canary" not in shown + "".join(said())
    assert '"(keys)"' in shown
    assert b"canary" not in b"".join(one.read_bytes() for one in world.folder.glob("outcomes.db*"))


# The documents.


def test_the_documents_undo_it(world: World, commands: Any, why_of: Any) -> None:
    assert commands("forget", "p0", "p1", "-y") == 0
    told = re.findall(
        r"^(?:UPDATE|DELETE FROM) contact_outcomes_records\b[^;]*;", text_of("docs/keeping.md"), re.MULTILINE
    )
    assert len(told) == 2
    for key, statement in zip(("p0", "p1"), told, strict=True):
        name = why_of(key)["record_identifier"]
        world.query(re.sub("'forgotten:[^']*'", f"'{name}'", statement).replace("'lead-18'", f"'{key}'"))
    assert renamed(world) == []
    summary = world.done(push(people(3), **SYNC), run_id="second")
    assert counts(summary, "skipped", "succeeded") == (2, 1), "who was delivered stays so, who was deleted is new"
    assert world.statuses() == dict.fromkeys(("p0", "p1", "p2"), "succeeded")
