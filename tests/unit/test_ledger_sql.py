from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.__main__ import main
from airflow_provider_contacts.ledgers.sql import ddl, tables
from airflow_provider_contacts.ledgers.sql.database import connect, prepare
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError
from airflow_provider_contacts.ledgers.sql.open_table import open_ledger
from airflow_provider_contacts.ledgers.sql.rows import payload_json
from airflow_provider_contacts.ledgers.sql.statements import Statements
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.vendor_kit.sanitize import UNSTORABLE, clean
from tests.support.forget_histories import ForgetHistories
from tests.support.ledger_conformance import PACKAGE_FOLDER, Database, LedgerConformance, claim, make, opening
from tests.support.ledger_histories import LedgerHistories
from tests.support.table_pushing import UrlHook


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{file}")) as found:
        yield found


class TestSqlite(LedgerConformance, ForgetHistories, LedgerHistories):
    pass


@dataclass(frozen=True)
class FileHook:
    """The hook of a file that is opened as a source, too."""

    file: Path
    conn_type: str = "sqlite"

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(self.file)


def test_connections_write_through(file: Path) -> None:
    engine = connect(UrlHook(f"sqlite:///{file}"))
    with engine.connect() as connection:
        names = ("journal_mode", "synchronous", "busy_timeout")
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    engine.dispose()
    assert settings == ["wal", 2, 30_000]


def test_a_url_without_a_driver_is_told_without_its_password() -> None:
    with pytest.raises(ConfigError, match="SQLite, PostgreSQL, MySQL or MariaDB") as caught:
        connect(UrlHook("nosuch://user:hunter2@host/db"))
    assert "hunter2" not in str(caught.value)


def test_other_databases_are_told_which_can() -> None:
    engine: Any = SimpleNamespace(dialect=SimpleNamespace(name="snowflake"))
    with pytest.raises(ConfigError, match=r"SQLite, PostgreSQL, MySQL or MariaDB, not snowflake"):
        prepare(engine)


def test_the_source_in_the_same_file_is_read_meanwhile(database: Database, file: Path) -> None:
    ledger = database.open(hook=FileHook(file), source=FileHook(file))
    source = sqlite3.connect(file)
    source.execute("CREATE TABLE people (id INTEGER)")
    source.executemany("INSERT INTO people VALUES (?)", [(number,) for number in range(5000)])
    source.commit()
    cursor = source.execute("SELECT id FROM people")
    for (number,) in cursor:
        if number % 1000 == 0:
            make(ledger, str(number), Status.SUCCEEDED)
    source.close()
    assert len(database.rows()) == 5


def test_a_shared_file_without_wal_is_refused(database: Database, file: Path) -> None:
    # What a file on a network drive does: it stays with the journal that it has.
    engine = database.engine()
    sqlalchemy.event.listen(engine, "connect", lambda one, _: one.execute("PRAGMA journal_mode = DELETE").close())
    shared = opening(hook=FileHook(file), source=FileHook(file))
    with pytest.raises(ConfigError, match="WAL"):
        open_ledger(shared, engine)
    ledger = open_ledger(replace(shared, source=None), engine)
    assert claim(ledger, "one") == {"one"}
    ledger.close()


def test_a_write_refused_in_every_form_is_an_error_without_data(database: Database) -> None:
    ledger = database.open()
    claim(ledger, "secret")
    database.run("CREATE TRIGGER no BEFORE UPDATE ON contact_outcomes_records BEGIN SELECT RAISE(ABORT, 'secret'); END")
    with pytest.raises(DataRefusedError) as caught:
        make(ledger, "secret", Status.SUCCEEDED)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("flavour", tables.FLAVOURS)
def test_the_ddl_is_printed(flavour: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ddl", flavour, "--table", "crm.outcomes"]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"CREATE TABLE (\S+)", printed) == [
        f"crm.outcomes_{name}" for name in ("syncs", "runs", "batches", "records")
    ]
    assert ("CREATE SQL SECURITY INVOKER VIEW crm.outcomes AS" in printed) == (flavour in {"mysql", "mariadb"})
    assert ("FROM crm.outcomes_records AS r" in printed) == (flavour != "sqlite")


def test_the_printed_ddl_is_the_table(database: Database) -> None:
    command = [sys.executable, "-m", "airflow_provider_contacts.ledgers", "ddl", "sqlite"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PACKAGE_FOLDER).stdout
    database.run(*printed.split(";")[:-1])
    assert claim(database.open(create_tables=False), "one") == {"one"}


def test_a_bad_table_name_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ddl", "sqlite", "--table", "a b"]) == 2
    told = capsys.readouterr().err
    assert "error: argument --table: outcomes_table must be a name or schema.name" in told
    assert told.endswith(", not 'a b'\n")


@pytest.mark.parametrize(("flavour", "collation"), [("mysql", "utf8mb4_0900_bin"), ("mariadb", "utf8mb4_nopad_bin")])
def test_mysql_keys_neither_fold_nor_pad(flavour: tables.Flavour, collation: str) -> None:
    assert ddl.ddl(tables.build("contact_outcomes", flavour)).count(collation) == 4


def test_payloads_without_end_are_left_out() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    assert payload_json(endless) is None
    assert payload_json({"kept": "\\u0000 as text"}) == '{"kept": "\\\\u0000 as text"}'


def test_what_can_be_printed_can_be_stored() -> None:
    printable = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert UNSTORABLE.search(printable) is None
    assert clean("a\x00b", 10) == "a\ufffdb"
    assert clean("abc", 2) == "ab"


def test_keys_are_found_by_index(database: Database) -> None:
    ledger = database.open()
    claim(ledger, *(f"key-{number}" for number in range(3_000)))
    statements = Statements(ledger._tables, ledger._engine.dialect, "undelivered")
    for command in ("SELECT 1", "ANALYZE"):
        database.run(command)
        for statement in (statements.answer_records, statements.move_records, statements.weaken_records):
            text, (values,) = statement.bound([(1, "key-1", *(None,) * 20)])
            with ledger._engine.connect() as connection:
                plan = "\n".join(map(str, connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)))
            assert "(sync_no=? AND record_identifier=?)" in plan, plan
            assert "SCAN" not in plan
