"""Which hook a connection's type gets, and what a connection that gives none is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.hooks import DexHook
from airflow_provider_contacts.task.connections import contacts_hook, missing_package, sql_hook
from tests.airflow_harness import airflow_connections


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    known = {
        "dex_default": {"conn_type": "dex", "password": "dex_0"},
        "odd": {"conn_type": "no_such"},
        "snow": {"conn_type": "snowflake"},
        "bare": {"conn_type": ""},
    }
    with airflow_connections(known):
        yield


def test_a_users_own_subclass_does_not_take_the_place_of_ours() -> None:
    class Mine(DexHook):
        """One more method."""

    assert type(contacts_hook("dex_default")) is DexHook
    assert Mine("dex_default").target().host == "api.prod.getdex.com"


def test_a_connection_that_is_not_there_says_where_they_are_made() -> None:
    for make in (lambda: contacts_hook("my-crm"), lambda: sql_hook("my-crm", "contacts_conn_id")):
        with pytest.raises(ConfigError) as caught:
            make()
        text = str(caught.value)
        assert text.startswith("contacts_conn_id: there is no connection 'my-crm'; make it under Admin > Connections")
        # A dash is none in the name of a variable of most shells, but Airflow asks for just this.
        assert "AIRFLOW_CONN_MY-CRM" in text


def test_a_connection_of_a_foreign_type_names_ours() -> None:
    with pytest.raises(ConfigError, match=r"'odd' has the type 'no_such'; contacts go to one of \['apptoto', .*type"):
        contacts_hook("odd")


@pytest.mark.parametrize(
    ("conn_id", "text"),
    [
        (
            "snow",
            "connection 'snow' has the type 'snowflake'; no installed provider package serves it: install Airflow's",
        ),
        ("bare", "connection 'bare' has the type ''; set its conn_type"),
        ("dex_default", "connection 'dex_default' is no SQL connection; its type is 'dex'"),
    ],
)
def test_a_connection_that_is_no_sql_connection_says_what_is_missing(conn_id: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sql_hook(conn_id, "sql_conn_id")
    assert str(caught.value).startswith("sql_conn_id: ")
    assert text in str(caught.value)


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mysql"])
def test_the_extra_that_installs_a_provider_package_is_named(kind: str) -> None:
    package = f"install airflow-provider-contacts[{kind}]"
    assert missing_package(kind, ImportError("x", name="driver")) == f"its hook needs the module 'driver': {package}"
    assert missing_package(kind, RuntimeError()) == f"no installed provider package serves it: {package}"
