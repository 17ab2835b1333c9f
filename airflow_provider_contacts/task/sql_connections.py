"""Connection ids of SQL databases to their hooks."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from airflow_provider_contacts.errors import ConfigError

WHERE_CONNECTIONS_ARE_MADE = (
    "make it under Admin > Connections, as AIRFLOW_CONN_{name} in the environment, or in the secrets backend"
)

EXTRAS = {"sqlite": "sqlite", "postgres": "postgres", "mysql": "mysql"}
"""Connection types whose provider package an extra of this package installs."""


PACKAGES = {
    "athena": "amazon",
    "aws": "amazon",
    "druid": "apache-druid",
    "gcpbigquery": "google",
    "google_cloud_platform": "google",
    "hiveserver2": "apache-hive",
    "impala": "apache-impala",
    "mssql": "microsoft-mssql",
    "pinot": "apache-pinot",
    "redshift": "amazon",
}
"""Connection types of databases whose provider package has another name."""


def no_such_connection(conn_id: str, parameter: str) -> ConfigError:
    """Return the error that there is no connection.

    :param parameter: names the connection; empty where nothing but the connection is spoken of.
    """
    where = WHERE_CONNECTIONS_ARE_MADE.format(name=conn_id.upper())
    return ConfigError(f"{parameter and f'{parameter}: '}there is no connection {conn_id!r}; {where}")


def sql_hook(conn_id: str, parameter: str) -> Any:
    """Return the DB-API hook of an SQL connection.

    :param parameter: names the connection in error texts.
    :raises ConfigError: where the connection does not exist, is no SQL connection, or lacks its provider package.
    """
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    try:
        kind = BaseHook.get_connection(conn_id).conn_type or ""
    except AirflowNotFoundException:
        raise no_such_connection(conn_id, parameter) from None
    try:
        hook = BaseHook.get_hook(conn_id)
    except (AirflowException, ImportError) as error:
        if kind and kind not in EXTRAS and parameter == "outcomes_conn_id":
            # A package for it would not help.
            raise ConfigError(
                f"{parameter}: connection {conn_id!r} has the type {kind!r}; the outcome table needs one of "
                f"{list(EXTRAS)}"
            ) from None
        raise ConfigError(f"{parameter}: {no_hook(conn_id, kind, error)}") from None
    if not isinstance(hook, DbApiHook):
        raise ConfigError(f"{parameter}: connection {conn_id!r} is no SQL connection; its type is {kind!r}")
    return hook


def no_hook(conn_id: str, kind: str, error: Exception) -> str:
    """Say why a connection has no hook, and what to install."""
    if not kind:
        return f"connection {conn_id!r} has no type; set its conn_type, such as postgres"
    text = f"no installed provider package serves the type {kind!r} of connection {conn_id!r}"
    if isinstance(error, ImportError) and error.name:
        text = f"the hook of connection {conn_id!r}, of the type {kind!r}, needs the module {error.name!r}"
    if kind in EXTRAS:
        return f"{text}; install airflow-provider-contacts[{EXTRAS[kind]}]"
    return f"{text}; install it, usually apache-airflow-providers-{PACKAGES.get(kind, kind.replace('_', '-'))}"
