"""Tables of servers that lose rows with their connection or in a crash, and those that cannot hold every key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.sql import ddl, tables
from airflow_provider_contacts.ledgers.sql.database import flavour_of
from tests.support.fresh_databases import fresh_database
from tests.support.ledger_conformance import Database, claim

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import MariaDB, Postgres

EVERY = tuple(f"contact_outcomes_{name}" for name in ("syncs", "runs", "batches", "records"))


@pytest.fixture
def postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with closing(fresh_database("postgresql", request, tmp_path)) as found:
        yield found


@pytest.fixture
def maria(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with closing(fresh_database("mariadb", request, tmp_path)) as found:
        yield found


def refused(database: Database, **how: Any) -> str:
    """Return why a push cannot begin."""
    with pytest.raises(ConfigError) as caught:
        database.open(**how)
    assert "the outcome table " in str(caught.value)
    return str(caught.value)


# PostgreSQL.


@pytest.mark.parametrize("table", ["pg_temp.contact_outcomes", "PG_TEMP.x", "pg_temp_3.x"])
def test_a_temporary_schema(postgresql: Database, table: str) -> None:
    text = refused(postgresql, table=table)
    assert table in text
    assert "send every record again" in text


def test_tables_that_are_created_in_a_temporary_schema(postgres: Postgres) -> None:
    database = Database(postgres.url(options="-csearch_path%3Dpg_temp"))
    assert "it is temporary" in refused(database)
    database.close()


def test_an_unlogged_table_is_warned_of(postgresql: Database) -> None:
    assert postgresql.open().warnings == ()
    postgresql.run(*(f"ALTER TABLE {name} SET UNLOGGED" for name in EVERY))
    warnings = postgresql.open().warnings
    assert [re.findall(r"the table (\S+) is UNLOGGED", one) for one in warnings] == [[name] for name in EVERY]
    assert re.search(r"outlives a task.*server that crashes empties it.*SET LOGGED", warnings[0])


@pytest.mark.parametrize(("encoding", "driver"), [("LATIN1", "psycopg"), ("SQL_ASCII", "psycopg2")])
def test_a_database_with_another_encoding(postgres: Postgres, encoding: str, driver: str) -> None:
    name = f"{encoding}_{driver}".lower()
    engine = sqlalchemy.create_engine(postgres.url(), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    url = sqlalchemy.make_url(postgres.url(driver=driver)).set(database=name)
    database = Database(url.render_as_string(hide_password=False))
    text = refused(database)
    assert f"postgresql:///{name})" in text
    assert f"the encoding {encoding}" in text
    assert "ENCODING 'UTF8'" in text
    database.close()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_client_with_another_encoding(postgres: Postgres, postgresql: Database, driver: str) -> None:
    role = f"latin_{driver}"
    postgresql.run(f"CREATE ROLE {role} LOGIN SUPERUSER", f"ALTER ROLE {role} SET client_encoding = 'LATIN1'")
    options = sqlalchemy.make_url(postgresql.url).query["options"]
    url = sqlalchemy.make_url(postgres.url(user=role, driver=driver)).update_query_dict({"options": options})
    database = Database(url.render_as_string(hide_password=False))
    assert claim(database.open(), "\u0141", "\U0001f600") == {"\u0141", "\U0001f600"}
    database.close()


# MariaDB, or MySQL in its place.


def built_for(database: Database) -> tables.Tables:
    engine = database.engine()
    engine.connect().close()
    return tables.build("contact_outcomes", flavour_of(engine))


@contextmanager
def settings(database: Database, **values: str) -> Iterator[None]:
    before = {}
    with database.engine().connect() as connection:
        for name in values:
            before[name] = connection.exec_driver_sql(f"SELECT @@GLOBAL.{name}").scalar()
    database.run(*(f"SET GLOBAL {name} = '{value}'" for name, value in values.items()))
    try:
        yield
    finally:
        database.run(*(f"SET GLOBAL {name} = '{value or ''}'" for name, value in before.items()))


def test_temporary_tables(mariadb: MariaDB, maria: Database) -> None:
    name = sqlalchemy.make_url(maria.url).database
    maria.run(f"CREATE USER temp_{name}@localhost", f"GRANT ALL ON {name}.* TO temp_{name}@localhost")
    user = Database(mariadb.url(user=f"temp_{name}", database=str(name)))
    built = built_for(maria)
    statement, _ = (" ".join(text.split()) for text in ddl.create_table(built, built.records))
    with settings(maria, init_connect=statement.replace("CREATE TABLE", "CREATE TEMPORARY TABLE")):
        assert "it is temporary" in refused(user)
    user.close()


@pytest.mark.parametrize(("name", "engine"), [*zip(EVERY, ["MEMORY", "MyISAM"] * 2, strict=True)])
def test_an_engine_that_keeps_nothing_for_sure(maria: Database, name: str, engine: str) -> None:
    built = built_for(maria)
    for table in built.every:
        statement, *_ = ddl.create_table(built, table)
        if table.name == name:
            statement = re.sub(r"ENGINE=\w+", f"ENGINE={engine}", statement)
            statement = re.sub(r"(sync_run_id|sync_id|record_identifier) VARCHAR\(\d+\)", r"\1 VARCHAR(100)", statement)
            if engine == "MEMORY":
                statement = re.sub(r"\bLONGTEXT\b", "VARCHAR(100)", statement)
        maria.run(statement)
    text = refused(maria)
    assert f"{name} has ENGINE={engine}, which may lose rows" in text
    assert f"ALTER TABLE {name} ENGINE=InnoDB" in text


@pytest.mark.parametrize(
    ("name", "column", "kind", "collation"),
    [
        ("contact_outcomes_records", "record_identifier", "VARCHAR(255)", "utf8mb4_bin"),
        ("contact_outcomes_syncs", "sync_id", "VARCHAR(512)", "utf8mb4_general_ci"),
        ("contact_outcomes_runs", "sync_run_id", "VARCHAR(764)", "latin1_bin"),
    ],
)
def test_a_key_that_does_not_compare_byte_for_byte(
    maria: Database, name: str, column: str, kind: str, collation: str
) -> None:
    maria.open().close()
    maria.run(f"ALTER TABLE {name} MODIFY {column} {kind} COLLATE {collation} NOT NULL")
    text = refused(maria)
    assert f"{name}.{column} has the collation {collation}, which may take different keys for one" in text
    maria.run(text[text.index("ALTER TABLE") :])
    assert claim(maria.open(), "a", "A", "a ", "\u0141") == {"a", "A", "a ", "\u0141"}


def test_texts_in_another_character_set_do_no_harm(maria: Database) -> None:
    maria.open().close()
    maria.run("ALTER TABLE contact_outcomes_records MODIFY status_message TEXT CHARACTER SET latin1",
              "ALTER TABLE contact_outcomes_records MODIFY record_payload TEXT CHARACTER SET latin1")  # fmt: skip
    ledger = maria.open()
    assert claim(ledger, "one", payload={"first_name": "\u0141"}) == {"one"}


def test_a_connection_with_another_character_set(maria: Database) -> None:
    database = Database(f"{maria.url}&charset=latin1")
    assert claim(database.open(), "\u0141", "\U0001f600") == {"\u0141", "\U0001f600"}
    database.close()
