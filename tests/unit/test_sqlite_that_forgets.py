"""SQLite that keeps nothing for the next try is refused before anything is sent, in every spelling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.sql.database import connect, kept_open
from airflow_provider_contacts.ledgers.sql.open_table import Opening, open_ledger
from airflow_provider_contacts.ledgers.sql.schema import existing
from airflow_provider_contacts.ledgers.sql.selection import SelectedRows
from airflow_provider_contacts.records.stored_payloads import Selection
from tests.support.ledger_conformance import Database, opening
from tests.support.table_pushing import UrlHook

WITHOUT_A_FILE = [
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite:///file::memory:?uri=true",
    "sqlite:///file::memory:?cache=shared&uri=true",
    "sqlite:///file:x?mode=memory&cache=shared&uri=true",
    "sqlite:///file:/shared?vfs=memdb&uri=true",
    "sqlite:///file:?uri=true",
]


def at(url: str, table: str = "contact_outcomes") -> Opening:
    return opening(hook=UrlHook(url), table=table)


def settled(url: str) -> None:
    with kept_open(connect(UrlHook(url))) as engine:
        existing(engine, "contact_outcomes")


TASKS: dict[str, Callable[[str], Any]] = {
    "push": lambda url: open_ledger(at(url)),
    "plan": lambda url: open_ledger(at(url), plan_only=True),
    "replay": lambda url: SelectedRows.open(at(url), Selection(statuses=frozenset())),
    "settle": settled,
}


@pytest.mark.filterwarnings("ignore:Selection of the SingletonThreadPool")
@pytest.mark.parametrize("url", WITHOUT_A_FILE)
@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_database_without_a_file(url: str, task: Callable[[str], Any]) -> None:
    with pytest.raises(ConfigError, match="send every record again") as caught:
        task(url)
    assert "contact_outcomes (connection 'outcomes_db', sqlite://" in str(caught.value)
    assert "Name a file in the connection's host" in str(caught.value)


@pytest.mark.parametrize("table", ["temp.contact_outcomes", "TEMP.contact_outcomes"])
def test_a_temporary_table(tmp_path: Path, table: str) -> None:
    with pytest.raises(ConfigError, match="without the schema temp"):
        open_ledger(at(f"sqlite:///{tmp_path}/x.db", table))


def test_a_file_is_kept(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/a.db", f"sqlite:///file:{tmp_path}/b.db?uri=true"):
        for table in ("contact_outcomes", "main.contact_outcomes"):
            open_ledger(at(url, table)).close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{}/absent/outcomes.db", "unable to open database file; the folder must exist"),
        ("sqlite:///file:{}/there.db?mode=ro&uri=true", "readonly database; the folder must exist"),
        ("sqlite:///{}/text.db", "; the folder must exist, the file must be an SQLite database"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "text.db").write_text("Not a database. " * 1000)
    Database(f"sqlite:///{tmp_path}/there.db").open().close()
    with pytest.raises(LedgerError) as caught:
        open_ledger(at(url.format(tmp_path)))
    text = str(caught.value)
    assert text.startswith("the outcome table contact_outcomes (connection 'outcomes_db', sqlite:///")
    assert str(tmp_path) in text
    assert said in text
