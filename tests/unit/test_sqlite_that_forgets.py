"""SQLite that keeps nothing for the next try is refused before anything is sent, in every spelling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.ledgers.sql.database import connect
from airflow_provider_contacts.ledgers.sql.open_table import Opening, open_for_reading, open_ledger
from airflow_provider_contacts.ledgers.sql.selection import SelectedRows
from airflow_provider_contacts.ledgers.sql.settlement import open_tables
from airflow_provider_contacts.ledgers.sql.transactions import AT_ONCE
from airflow_provider_contacts.records.stored_payloads import Selection
from tests.support.ledger_conformance import Database

RUN = RunIdentity(dag_id="dag", run_id="run", task_id="task", map_index=-1, try_number=1)

WITHOUT_A_FILE = [
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite:///file::memory:?uri=true",
    "sqlite:///file::memory:?cache=shared&uri=true",
    "sqlite:///file:x?mode=memory&cache=shared&uri=true",
    "sqlite:///file:/shared?vfs=memdb&uri=true",
    "sqlite:///file:?uri=true",
]


class Hook:
    """An Airflow hook as far as it is asked."""

    conn_type = "any"

    def __init__(self, url: str) -> None:
        self.url = url

    def get_conn_id(self) -> str:
        return "outcomes_db"

    def get_sqlalchemy_engine(self, engine_kwargs: dict[str, Any]) -> sqlalchemy.Engine:
        return sqlalchemy.create_engine(self.url, **engine_kwargs)


def opening(url: str, table: str = "contact_outcomes") -> Opening:
    return Opening(
        hook=Hook(url), source=None, table=table, create_tables=True, store_payload="undelivered", run=RUN, sync_id="s",
        destination="dex", destination_host="h", destination_object=None, patience=AT_ONCE,
    )  # fmt: skip


TASKS: dict[str, Callable[[str], Any]] = {
    "push": lambda url: open_ledger(opening(url)),
    "plan": lambda url: open_for_reading(opening(url)),
    "replay": lambda url: SelectedRows.open(opening(url), Selection(statuses=frozenset())),
    "settle": lambda url: open_tables(connect(Hook(url)), "contact_outcomes", create_tables=True),
}


@pytest.mark.filterwarnings("ignore:Selection of the SingletonThreadPool")
@pytest.mark.parametrize("url", WITHOUT_A_FILE)
@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_database_without_a_file(url: str, task: Callable[[str], Any]) -> None:
    with pytest.raises(ConfigError, match="send every record again") as caught:
        task(url)
    assert "contact_outcomes (connection 'outcomes_db', SQLite" in str(caught.value)
    assert "Name a file in the connection's host" in str(caught.value)


@pytest.mark.parametrize("table", ["temp.contact_outcomes", "TEMP.contact_outcomes"])
def test_a_temporary_table(tmp_path: Path, table: str) -> None:
    with pytest.raises(ConfigError, match="without the schema temp"):
        open_ledger(opening(f"sqlite:///{tmp_path}/x.db", table))


@pytest.mark.parametrize("name", [f"contact_outcomes_{name}" for name in ("syncs", "runs", "batches", "records")])
def test_a_view_is_no_table(tmp_path: Path, name: str) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    database.open().close()
    database.run(f"ALTER TABLE {name} RENAME TO behind", f"CREATE VIEW {name} AS SELECT * FROM behind")
    with pytest.raises(ConfigError, match=f"{name} is a view"):
        open_ledger(opening(database.url))
    database.close()


def test_a_file_is_kept(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/a.db", f"sqlite:///file:{tmp_path}/b.db?uri=true"):
        for table in ("contact_outcomes", "main.contact_outcomes"):
            open_ledger(opening(url, table)).close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{}/absent/outcomes.db", "unable to open database file; the folder must exist"),
        ("sqlite:///file:{}/there.db?mode=ro&uri=true", "readonly database; the file or its folder cannot be written"),
        ("sqlite:///{}/text.db", "the file is damaged, or is no SQLite database"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "text.db").write_text("Not a database. " * 1000)
    Database(f"sqlite:///{tmp_path}/there.db").open().close()
    with pytest.raises(LedgerError) as caught:
        open_ledger(opening(url.format(tmp_path)))
    text = str(caught.value)
    assert text.startswith("the outcome table contact_outcomes (connection 'outcomes_db', SQLite file ")
    assert str(tmp_path) in text
    assert said in text
