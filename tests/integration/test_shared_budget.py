"""One rate for many tasks, in real databases: eight processes at once, and a hook's connection from end to end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
import sqlalchemy  # noqa: TID253  # what is in the store is looked at

from airflow_provider_contacts.errors import BudgetError, ConfigError
from airflow_provider_contacts.hooks import DexHook, TalkdeskHook
from airflow_provider_contacts.ledgers.shared_rate.limiter import LimiterBudget
from airflow_provider_contacts.ledgers.shared_rate.rate_table import prepare
from airflow_provider_contacts.pacing.shared import SharedRate
from tests.support.airflow_fixtures import SetConnections
from tests.support.servers import MariaDB, NoServerError, Postgres, running_postgres_for_kills
from tests.support.sharing import row_of, share

SECONDS = float(os.environ.get("CONTACTS_BUDGET_SECONDS", "5"))
"""60 for the full run."""

KEY = "dex_canary4711"
NUMBERS = count(1)


@pytest.fixture(params=["postgres", "mariadb"])
def database(request: pytest.FixtureRequest) -> str:
    """Return where an empty database is."""
    server: Postgres | MariaDB = request.getfixturevalue(request.param)
    name = f"budget_{next(NUMBERS)}"
    run(server.url(), f"CREATE DATABASE {name}")
    return server.url(database=name)


def run(url: str, *statements: str) -> list[Any]:
    """Run statements; return the rows of the last."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        results = [connection.exec_driver_sql(statement) for statement in statements]
        return list(results[-1]) if results[-1].returns_rows else []


# Eight processes.


def test_eight_processes_share_fifty_requests_a_second(database: str) -> None:
    found = share(database, SharedRate(conn_id="store", requests_per_second=50.0), seconds=SECONDS)
    print(found)  # noqa: T201  # what -s and a failure show
    # The mean is 47 and a machine that is busy with other tests lets requests arrive late, never too many in all.
    assert 0.8 * 47 * SECONDS < found.total <= 50 * SECONDS
    assert found.most_within(1.0) <= 55
    assert min(found.shares) > 0.09
    assert max(found.shares) < 0.16


def test_no_request_is_given_away_twice(database: str) -> None:
    """Nobody waits here: all take from one large burst as fast as they can, and the row has counted each."""
    seconds_each = 1000
    shared = SharedRate(conn_id="store", requests_per_second=1 / seconds_each, burst=10_000)
    found = share(database, shared, senders=4, seconds=1.0, wanted=1)
    kept = row_of(database)
    text, now = kept.read()
    kept.close()
    assert found.total > 50
    assert round((int(text) / 1000 - now) / 1000 / seconds_each) == found.total


# From a connection to a budget.


def vendor_connection(**extra: Any) -> dict[str, Any]:
    shared = {"rate_limit_conn_id": "rate_store", "requests_per_second": 5, **extra}
    return {"conn_type": "dex", "password": KEY, "extra": shared}


@contextmanager
def opened(conn_id: str = "dex_default") -> Iterator[Any]:
    hook = DexHook(conn_id)
    target = hook.target()
    with hook.client(target) as client, hook.budget(target, client) as budget:
        yield budget


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_connections_with_one_credential_share_and_others_do_not(
    kind: str, request: pytest.FixtureRequest, set_connections: SetConnections
) -> None:
    server = request.getfixturevalue(kind)
    run(server.url(), "DROP TABLE IF EXISTS contacts_rate_budgets")
    set_connections(
        {
            "rate_store": server.connection(),
            "dex_default": vendor_connection(burst=3),
            "dex_again": vendor_connection(burst=3),
            "dex_other": {**vendor_connection(burst=3), "password": "another"},
        }
    )
    with opened() as one, opened("dex_again") as same, opened("dex_other") as other:
        assert isinstance(one, LimiterBudget)
        assert one.take(2) == 2
        assert same.take(3) == 1
        assert other.take(3) == 3
    rows = run(server.url(), "SELECT * FROM contacts_rate_budgets")
    assert len(rows) == 2
    assert all(name.startswith("dex:") and len(name) == 36 and state.isdigit() for name, state in rows)
    assert KEY not in str(rows)


def test_a_new_secret_is_the_same_account() -> None:
    from airflow_provider_contacts.task.connections import account_name
    from airflow_provider_contacts.transport.connection import StoredConnection, resolve

    def name(**values: Any) -> str:
        given = {"conn_id": "c", "login": "id", "password": "one", "extra": {"account": "acme"}, **values}
        return account_name("talkdesk", resolve(TalkdeskHook().vendor, StoredConnection(**given)))

    assert name() == name(password="two")
    assert len({name(), name(login="other"), name(host="https://vendor.example")}) == 3


def unreachable(_: Postgres) -> dict[str, Any]:
    return {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "somebody", "password": KEY}


WRONG: dict[str, tuple[Callable[[Postgres], dict[str, Any] | None], type[Exception], str]] = {
    "none": (lambda _: None, ConfigError, "there is no connection 'rate_store'"),
    "another type": (lambda _: {"conn_type": "sqlite", "host": "/no/such.db"}, ConfigError,
        r"of the type 'sqlite'; a rate is shared through one of \['postgres', 'mysql'\]"),
    "nobody listens": (unreachable, BudgetError,
        r"table contacts_rate_budgets, postgresql://127.0.0.1:1/?: Oper.*is the server up"),
    "no such database": (lambda server: server.connection(database="nowhere"), BudgetError,
        'database "nowhere" does not exist'),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_store_that_cannot_be_one_is_told_before_anything_is_sent(
    case: str, postgres: Postgres, set_connections: SetConnections
) -> None:
    made, kind, text = WRONG[case]
    store = made(postgres)
    set_connections({"dex_default": vendor_connection(), **({"rate_store": store} if store else {})})
    with pytest.raises(kind, match=text) as caught:
        opened().__enter__()
    assert "rate_limit_conn_id in connection 'dex_default' names 'rate_store'" in str(caught.value)
    assert KEY not in str(caught.value)


def test_without_the_library_the_extra_is_named(
    set_connections: SetConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyrate_limiter", None)
    set_connections({"dex_default": vendor_connection()})
    with pytest.raises(ConfigError, match=r"'dex_default'.*install airflow-provider-contacts\[rate-limit\]"):
        opened().__enter__()


def test_the_right_to_create_is_needed_only_to_create(postgres: Postgres) -> None:
    name = f"budget_{next(NUMBERS)}"
    run(postgres.url(), f"CREATE DATABASE {name}", f"CREATE ROLE writer_{name} LOGIN")
    owner, writer = postgres.url(database=name), postgres.url(database=name, user=f"writer_{name}")
    with pytest.raises(BudgetError, match="permission denied for schema public"):
        row_of(writer)
    row_of(owner).close()
    run(owner, f"GRANT SELECT, INSERT, UPDATE ON contacts_rate_budgets TO writer_{name}")
    row_of(writer).close()


def test_a_server_that_restarts_is_come_back_to() -> None:
    try:
        with running_postgres_for_kills() as server:
            store = row_of(server.url())
            budget = LimiterBudget(store, SharedRate(conn_id="s", requests_per_second=1000.0, burst=5))
            assert budget.take(5) == 5
            server.kill()
            with pytest.raises(BudgetError, match="the shared rate's database cannot be used"):
                store.read()
            server.start()
            assert store.read()[1] > 0
            budget.close()
    except NoServerError as reason:
        pytest.skip(str(reason))


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(ConfigError, match="PostgreSQL, MySQL or MariaDB, not sqlite"):
        prepare(sqlalchemy.create_engine("sqlite://"), "here")
