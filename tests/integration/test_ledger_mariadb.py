from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.outcome import Status
from tests.support.forget_histories import ForgetHistories
from tests.support.fresh_databases import fresh_database
from tests.support.ledger_conformance import Database, LedgerConformance, claim, make
from tests.support.ledger_histories import LedgerHistories
from tests.support.pushing import World, people, push

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import MariaDB


@pytest.fixture(params=os.environ.get("CONTACTS_MYSQL_DRIVERS", "pymysql").split(","))
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return an empty database; ``CONTACTS_MYSQL_DRIVERS=mysqldb,mysqlconnector`` names other drivers."""
    with closing(fresh_database("mariadb", request, tmp_path, request.param)) as found:
        yield found


class TestMariaDB(LedgerConformance, ForgetHistories, LedgerHistories):
    pass


def test_rights_to_create_are_needed_only_to_create(mariadb: MariaDB, database: Database) -> None:
    name = sqlalchemy.make_url(database.url).database
    user = f"writer_{name}"
    writer = Database(mariadb.url(user=user, database=str(name)))
    database.run(f"CREATE USER {user}@localhost", f"GRANT SELECT ON {name}.* TO {user}@localhost")
    with pytest.raises(ConfigError, match=r"command denied(.|\n)*CREATE TABLE contact_outcomes_runs"):
        writer.open()
    database.open()
    with pytest.raises(LedgerError, match="command denied"):
        writer.open()
    database.run(f"GRANT INSERT, UPDATE ON {name}.* TO {user}@localhost")
    ledger = writer.open("mine")
    make(ledger, "good", Status.SUCCEEDED)
    make(ledger, "bad", Status.INVALID)
    assert claim(ledger, "bad", "next") == {"bad", "next"}
    assert ledger.finish({"num_planned": 3}, "succeeded")
    writer.close()
    # Who reads has rights of their own, and no others by way of the view.
    reading = f"reader_{name}"
    database.run(f"CREATE USER {reading}@localhost", f"GRANT SELECT ON {name}.contact_outcomes TO {reading}@localhost")
    reader = Database(mariadb.url(user=reading, database=str(name)))
    with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"invoker of view lack rights|command denied"):
        reader.rows()
    database.run(f"GRANT SELECT ON {name}.* TO {reading}@localhost")
    reader.close()  # a connection goes on with the rights that it found in the view
    assert {row["status"] for row in reader.rows()} == {"succeeded", "sending"}
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="command denied"):
        reader.run("UPDATE contact_outcomes SET record_identifier = 'other'")
    reader.close()


def test_a_task_keeps_its_outcomes_in_mariadb(world: World, mariadb: MariaDB, database: Database) -> None:
    name = sqlalchemy.make_url(database.url).database
    world.connect("outcomes", **mariadb.connection(database=str(name)))
    world.simulator.set("dex.http_429", "nth:2")
    op = push(people(300), request_attempts=1, batch_size=50)
    assert world.run(op).state == "up_for_retry"
    assert world.run(op, 2).error is None
    summary = world.summary(op)
    assert (summary["num_delivered"], summary["num_planned"], len(world.stored())) == (300, 300, 300)
    assert {row["status"] for row in database.rows()} == {"succeeded"}
    # The next run knows them all, and the one record that is new.
    op = push(people(301))
    assert world.run(op, run_id="second").error is None
    summary = world.summary(op, run_id="second")
    assert (summary["num_skipped"], summary["num_succeeded"], len(world.stored())) == (300, 1, 301)
    runs = database.rows("contact_outcomes_runs")
    assert [(row["try_number"], row["status"]) for row in runs] == [(1, "failed"), (2, "succeeded"), (1, "succeeded")]
