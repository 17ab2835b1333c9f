"""Connection ids to hooks: the vendor's by the connection's type, an SQL database's by Airflow."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from airflow_provider_contacts.core.errors import ConfigError
from airflow_provider_contacts.hooks import ContactsHook


def contacts_hook(conn_id: str) -> ContactsHook:
    """Return the hook that a connection's type asks for.

    :raises ConfigError: where the connection does not exist or has a foreign type.
    """
    try:
        conn = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(f"contacts_conn_id: there is no connection {conn_id!r}") from None
    return hook_for(conn.conn_type or "", conn_id)


def hook_for(conn_type: str, contacts_conn_id: str) -> ContactsHook:
    """Return the hook of a connection type.

    :raises ConfigError: where the type is none of ours.
    """
    hooks = {hook.conn_type: hook for hook in ContactsHook.__subclasses__()}
    if conn_type not in hooks:
        raise ConfigError(
            f"contacts_conn_id: connection {contacts_conn_id!r} has the type {conn_type!r}; contacts go to one of "
            f"{sorted(hooks)}"
        )
    return hooks[conn_type](contacts_conn_id)


def sql_hook(conn_id: str, parameter: str) -> Any:
    """Return the DB-API hook of an SQL connection.

    :param parameter: names the connection in error texts.
    :raises ConfigError: where the connection does not exist, is no SQL connection, or lacks its provider package.
    """
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    try:
        hook = BaseHook.get_hook(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(f"{parameter}: there is no connection {conn_id!r}") from None
    except (AirflowException, ImportError):
        raise ConfigError(
            f"{parameter}: no installed provider package serves the type of connection {conn_id!r}"
        ) from None
    if not isinstance(hook, DbApiHook):
        raise ConfigError(f"{parameter}: connection {conn_id!r} is no SQL connection")
    return hook
