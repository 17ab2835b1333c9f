from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

from airflow_provider_contacts.errors import ConfigError, LedgerError, SupersededError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.database import connect, prepare
from airflow_provider_contacts.ledgers.sql.executions import Execution
from airflow_provider_contacts.ledgers.sql.statements import Statements
from airflow_provider_contacts.ledgers.sql.tables import build
from airflow_provider_contacts.ledgers.sql.transactions import pipelined
from airflow_provider_contacts.outcome import Status
from tests.support.forget_histories import ForgetHistories
from tests.support.fresh_databases import fresh_database
from tests.support.ledger_conformance import (
    Database,
    EveryLedger,
    LedgerConformance,
    claim,
    make,
    mark,
    put,
    settle,
)
from tests.support.ledger_histories import LedgerHistories
from tests.support.table_pushing import UrlHook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import Postgres

BINDING = Binding(sync_id="sync", destination="dex", destination_host="host", destination_object=None)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with closing(fresh_database("postgresql", request, tmp_path)) as found:
        yield found


class TestPostgres(LedgerConformance, ForgetHistories, LedgerHistories):
    pass


class TestPsycopg2(EveryLedger, LedgerHistories):
    """The older driver hands parameters over in its own way."""

    @pytest.fixture
    def database(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
        with closing(fresh_database("postgresql", request, tmp_path, "psycopg2")) as found:
            yield found

    @pytest.fixture
    def memory(self, database: Database) -> Database:
        return database


class Hook(UrlHook):
    """As much of an Airflow PostgreSQL hook."""

    ignored_extra_options = frozenset({"cursor"})

    def __init__(self, url: str, extra: dict[str, Any]) -> None:
        super().__init__(url, "postgres")
        self.connection = self
        self.extra_dejson = extra


def shown(engine: sqlalchemy.Engine, name: str) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())


def test_a_connections_own_extras_count(postgres: Postgres) -> None:
    engine = connect(Hook(postgres.url(), {"application_name": "contacts", "cursor": "dictcursor"}))
    assert shown(engine, "application_name") == "contacts"
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_what_a_pooler_forgets_is_said_in_every_transaction(postgres: Postgres, driver: str) -> None:
    engine = sqlalchemy.create_engine(postgres.url(driver=driver))
    prepare(engine)
    raw = engine.raw_connection()
    with closing(raw.cursor()) as cursor:
        # As somebody else may have left the server's session.
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        cursor.execute("SET synchronous_commit = off")
    raw.commit()
    raw.close()
    assert shown(engine, "transaction_isolation") == "read committed"
    assert shown(engine, "synchronous_commit") == "on"
    engine.dispose()


def test_plans_are_narrowed_for_one_transaction_only(postgres: Postgres) -> None:
    engine = connect(Hook(postgres.url(), {}))
    assert {shown(engine, name) for name in ("enable_seqscan", "enable_hashjoin", "jit")} == {"off"}
    raw = engine.raw_connection()
    with closing(raw.cursor()) as cursor:
        cursor.execute("SHOW enable_hashjoin")
        assert cursor.fetchone() == ("on",)
    raw.close()
    engine.dispose()


def test_a_stronger_setting_is_left(postgres: Postgres, database: Database) -> None:
    database.run("CREATE ROLE careful LOGIN", "ALTER ROLE careful SET synchronous_commit = remote_apply")
    engine = connect(Hook(postgres.url(user="careful"), {}))
    assert shown(engine, "synchronous_commit") == "remote_apply"
    engine.dispose()


def test_select_insert_and_update_suffice(postgres: Postgres, database: Database) -> None:
    database.run("CREATE SCHEMA crm", "CREATE ROLE writer LOGIN", "GRANT USAGE ON SCHEMA crm TO writer")
    writer = Database(postgres.url(user="writer"))
    with pytest.raises(ConfigError, match=r"permission denied(.|\n)*CREATE TABLE crm.outcomes_runs"):
        writer.open(table="crm.outcomes")
    database.open(table="crm.outcomes")
    with pytest.raises(LedgerError, match="permission denied"):
        writer.open(table="crm.outcomes")
    tables = ", ".join(f"crm.outcomes_{name}" for name in ("syncs", "runs", "batches", "records"))
    database.run(f"GRANT SELECT, INSERT, UPDATE ON {tables} TO writer")
    ledger = writer.open("mine", table="crm.outcomes")
    make(ledger, "good", Status.SUCCEEDED)
    make(ledger, "bad", Status.INVALID)
    assert claim(ledger, "bad", "next") == {"bad", "next"}
    assert ledger.finish({"num_planned": 3}, "succeeded")
    (warning,) = ledger.warnings
    assert re.search(r"view crm.outcomes, which people read, cannot be read .*permission denied", warning)
    writer.close()
    # Who reads needs the view alone, and cannot write through it.
    database.run("CREATE ROLE reader LOGIN", "GRANT USAGE ON SCHEMA crm TO reader")
    database.run("GRANT SELECT ON crm.outcomes TO reader")
    reader = Database(postgres.url(user="reader"))
    assert {row["status"] for row in reader.rows("crm.outcomes")} == {"succeeded", "sending"}
    for statement in ("UPDATE crm.outcomes SET status = 'failed'", "SELECT * FROM crm.outcomes_records"):
        with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"permission denied|cannot update view"):
            reader.run(statement)
    reader.close()


def test_a_schema_that_is_not_there(database: Database) -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        database.open(table="nosuch.outcomes")


def test_a_newer_execution_waits_for_a_claim_in_flight(database: Database) -> None:
    older = database.open()
    with ThreadPoolExecutor(1) as threads:
        with older._engine.begin() as connection:
            older._execution.hold(connection)
            newer: Future[Any] = threads.submit(database.open, try_number=2)
            with pytest.raises(TimeoutError):
                newer.result(timeout=0.5)
        assert claim(newer.result(timeout=30), "key") == {"key"}
    with pytest.raises(SupersededError):
        claim(older, "other")


def test_two_that_register_in_one_instant_do_not_both_go_on(database: Database) -> None:
    database.open("before")
    found = build("contact_outcomes", "postgresql")
    engine = database.engine()
    executions = []
    with engine.connect() as one, engine.connect() as other:
        for number, connection in enumerate((one, other), start=1):
            run = RunIdentity(dag_id="dag", run_id="run", task_id="task", map_index=-1, try_number=number)
            executions.append(Execution(found, run, BINDING, f"token-{number}", engine.dialect))
            executions[-1].register(connection)
        one.commit()
        other.commit()
    with engine.begin() as connection:
        for execution in executions:
            with pytest.raises(SupersededError):
                execution.hold(connection)
    assert claim(database.open(), "key") == {"key"}


AT_COMMIT = """
CREATE SEQUENCE commits;
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('commits') <= {times} THEN {what}; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER trouble AFTER INSERT OR UPDATE ON contact_outcomes_records
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trouble()
"""
BREAK = "PERFORM pg_terminate_backend(pg_backend_pid())"
DEADLOCK = "RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01', DETAIL = 'Key (record_identifier)=(secret)'"


def test_a_commit_of_unknown_fate_is_no_claim(database: Database) -> None:
    ledger = database.open()
    database.run(AT_COMMIT.format(times=1, what=BREAK))
    with pytest.raises(LedgerError) as caught:
        claim(ledger, "secret")
    assert "secret" not in str(caught.value)
    assert claim(ledger, "other") == {"other"}, "the next call has a new connection"


def test_an_answer_outlives_a_broken_connection(database: Database) -> None:
    ledger = database.open()
    claim(ledger, "key")
    database.run(AT_COMMIT.format(times=1, what=BREAK))
    assert set(settle(ledger, "key", Status.SUCCEEDED)) == {"key"}
    assert database.row("key")["status"] == "succeeded"


class TornConnection:
    """A driver's connection, as of psycopg, whose commit ends in a rollback that nobody tells of."""

    closed = broken = autocommit = False
    rolled_back = False

    def pipeline(self) -> nullcontext[None]:
        return nullcontext()

    def execute(self, text: str, *_: object) -> SimpleNamespace:
        return SimpleNamespace(statusmessage="ROLLBACK" if text == "COMMIT" else text, rowcount=1)

    def rollback(self) -> None:
        self.rolled_back = True


def test_only_the_tag_of_a_commit_tells_that_it_took_place(database: Database) -> None:
    raw, dialect = TornConnection(), database.engine().dialect
    connection: Any = SimpleNamespace(connection=SimpleNamespace(dbapi_connection=raw), dialect=dialect)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="not committed"):
        pipelined(connection, [("UPDATE x SET y = %s", (1,))])
    assert raw.rolled_back


@pytest.mark.parametrize(("times", "claimed"), [(2, True), (3, False)])
def test_a_deadlock_is_tried_again_and_not_for_ever(database: Database, times: int, claimed: bool) -> None:
    ledger = database.open()
    database.run(AT_COMMIT.format(times=times, what=DEADLOCK))
    if claimed:
        assert claim(ledger, "secret") == {"secret"}
        return
    with pytest.raises(LedgerError, match="40P01") as caught:
        claim(ledger, "secret")
    assert "secret" not in str(caught.value)
    assert database.rows() == []


def test_a_payload_that_is_refused_does_not_stop_the_push(database: Database) -> None:
    ledger = database.open()
    database.run("ALTER TABLE contact_outcomes_records ADD CHECK (record_payload IS NULL)")
    assert put(ledger, [mark(ledger, "one")]) == {"one"}


def test_keys_are_found_by_index(database: Database) -> None:
    database.open()
    database.run("ALTER TABLE contact_outcomes_records SET (autovacuum_enabled = off)")
    ledger = database.open()
    put(ledger, [mark(ledger, f"key-{number}", payload={"some": "x" * 200}) for number in range(20_000)])
    statements = Statements(ledger._tables, ledger._engine.dialect, "undelivered")
    rows = [(1, f"key-{number}", 1, *(None,) * 20) for number in range(100)]
    # Not analysed yet, and analysed.
    for command in ("SELECT 1", "ANALYZE contact_outcomes_records"):
        database.run(command)
        for statement in (statements.answer_records, statements.move_records, statements.weaken_records):
            text, values = statement.bound(rows)
            with ledger._engine.connect() as connection:
                plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {text}", values).scalars())
            assert re.search(r"Index Cond: .*g\.sync_no.*g\.record_identifier", plan), plan
            assert "Seq Scan" not in plan
