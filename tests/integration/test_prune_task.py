"""Pruning by a task and from the command line: what is reported, refused and asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested
from airflow.sdk import DAG

from airflow_provider_contacts.cli.program import main
from airflow_provider_contacts.operators import PruneOutcomesOperator
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.task.prune import as_text, parse_age
from tests.support.by_hand import change
from tests.support.commands import commands_know, terminal
from tests.support.fresh_databases import fresh_database
from tests.support.ledger_conformance import answer, batch_of, put
from tests.support.pushing import CALLS, World, callees, postgres_connection
from tests.support.pushing import push as push_task

SYNC = "the-sync"
COUNTS = {"num_payloads": 2, "num_texts": 2, "num_batches": 0, "num_records": 0, "num_runs": 0, "num_syncs": 0}
AGES = [f"{name} = datetime({name}, '-100 days')" for name in ("started_at", "updated_at", "completed_at")]


def prune(older_than: Any = "90d", **parameters: Any) -> Any:
    with DAG("d", schedule=None):
        return PruneOutcomesOperator(
            **{"task_id": "prune", "outcomes_conn_id": "outcomes", "older_than": older_than, **parameters}
        )


@pytest.fixture
def old(world: World) -> World:
    """Return a world with c0 delivered, c1 and c2 refused, a hundred days ago."""
    world.simulator.set("talkdesk.reject", "first_name~First[12]")
    assert world.run(push_task(callees(3), **{**CALLS, "sync_id": SYNC, "max_rejected": 2})).error is None
    assert sorted(world.statuses().values()) == ["rejected", "rejected", "succeeded"]
    moments = {name: f"datetime({name}, '-100 days')" for name in ("batch_started_at", "batch_completed_at")}
    change(world, **moments)
    for key in ("c1", "c2"):
        change(world, key, status_message="'ada@example.com is taken'")
    world.query(f"UPDATE contact_outcomes_runs SET {', '.join(AGES)}")
    return world


def stored(world: World) -> int:
    return int(world.one("SELECT count(record_payload) + count(status_message) FROM contact_outcomes"))


@pytest.mark.parametrize("older_than", [timedelta(days=90), "{{ params.age }}"])
def test_a_task_prunes_and_counts(old: World, older_than: Any, said: Callable[[], list[str]]) -> None:
    op = prune(older_than, params={"age": "90d"}, sync_ids="", dry_run="{{ 'false' }}")
    words = {"outcomes_table": "contact_outcomes", "older_than": "90d", "dry_run": False}
    assert old.done(op) == {**words, **COUNTS}
    counts = "2 payloads, 2 texts, 0 batches, 0 records, 0 runs, 0 syncs"
    assert any(f"{counts} older than 90d are removed in contact_outcomes" in one for one in said())
    assert stored(old) == 0


@pytest.mark.parametrize("age", ["1h", "36h", "90d"])
def test_an_age_is_told_as_it_is_given(age: str) -> None:
    assert as_text(parse_age(age, "older_than")) == age


def test_a_sync_that_goes_whole_is_sent_again(old: World) -> None:
    assert old.run(prune(sync_ids='["the-sync"]')).error is None
    assert old.statuses() == {}
    old.simulator.reset(knobs=True)
    summary = old.done(push_task(callees(3), **{**CALLS, "sync_id": SYNC}), run_id="second")
    assert (summary["num_succeeded"], summary["num_skipped"]) == (3, 0)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"sync_ids": ["nobody"]}, "'nobody': not in the table"),
        ({"outcomes_table": "others"}, "does not exist: correct outcomes_table or outcomes_conn_id"),
        ({"older_than": "{{ '59m' }}"}, "of an hour at least, not '59m'"),
    ],
)
def test_what_is_wrong_fails_for_good(old: World, parameters: dict[str, Any], told: str) -> None:
    assert told in old.refused(prune(**parameters))
    assert stored(old) == 4


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_right_that_lacks_is_named_before_anything_goes(
    kind: str, world: World, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with closing(fresh_database(kind, request, tmp_path)) as database:
        server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
        where = sqlalchemy.make_url(database.url)
        ledger = database.open()
        put(ledger, sent := batch_of(ledger, "a"))
        answer(ledger, sent, Status.FAILED, status_message="said")
        if kind == "postgresql":
            schema = str(where.query["options"]).rpartition("=")[2]
            database.run(
                "CREATE ROLE pruner LOGIN", f"GRANT USAGE ON SCHEMA {schema} TO pruner",
                f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO pruner",
            )  # fmt: skip
            connection = {**postgres_connection(server), "login": "pruner"}
            table = f"{schema}.contact_outcomes"
        else:
            name, table = where.database, "contact_outcomes"
            database.run(
                f"CREATE USER pruner_{name}@localhost",
                f"GRANT SELECT, INSERT, UPDATE ON {name}.* TO pruner_{name}@localhost",
            )
            connection = {**server.connection(database=name), "login": f"pruner_{name}"}
        world.connect("outcomes", **connection)
        why = world.refused(prune(outcomes_table=table))
        assert f"the right to DELETE {table}_syncs is needed" in why
        assert "to prune or forget, DELETE" in why
        assert database.row("a")["status_message"] == "said"


@pytest.fixture
def connections(old: World) -> Any:
    with commands_know(old.api.connections):
        yield old


def command(*arguments: str) -> int:
    return main(["prune", *arguments, "--outcomes-conn-id", "outcomes", "-o", "json"])


def test_the_command_counts_and_prunes(connections: World, capsys: pytest.CaptureFixture[str]) -> None:
    for more, left in (("--dry-run", 4), ("--yes", 0)):
        assert command("--older-than", "90d", more) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert {name: found[name] for name in COUNTS} == COUNTS
        assert (found["dry_run"], stored(connections)) == (more == "--dry-run", left)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--older-than", "90d"], "no terminal is there to ask at, so nothing is written: give --yes"),
        (["--older-than", "5m"], "older_than is a timedelta, or a text such as 90d"),
    ],
)
def test_what_the_command_refuses(
    connections: World, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*arguments) == 2
    assert told in capsys.readouterr().err
    assert stored(connections) == 4


def test_a_terminal_is_asked(connections: World, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal("n\n"):
        assert command("--older-than", "90d", "--sync-id", SYNC) == 1
    asked = capsys.readouterr().err
    assert "3 records, 1 runs, 1 syncs older than 90d would be removed in contact_outcomes." in asked
    assert "The next push of 'the-sync' sends everybody again. Remove it? [y/N]" in asked
    assert len(connections.statuses()) == 3
