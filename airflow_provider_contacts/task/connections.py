"""A vendor's connection id to its hook, by the connection's type."""

from __future__ import annotations

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.hooks import HOOKS, ContactsHook
from airflow_provider_contacts.task.sql_connections import no_such_connection


def contacts_hook(conn_id: str) -> ContactsHook:
    """Return the hook that a connection's type asks for.

    :raises ConfigError: where the connection does not exist or has a foreign type.
    """
    try:
        conn = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise no_such_connection(conn_id, "contacts_conn_id") from None
    return hook_for(conn.conn_type or "", conn_id)


def hook_for(conn_type: str, contacts_conn_id: str) -> ContactsHook:
    """Return the hook of a connection type.

    :raises ConfigError: where the type is none of ours.
    """
    if conn_type not in HOOKS:
        raise ConfigError(
            f"contacts_conn_id: connection {contacts_conn_id!r} has the type {conn_type!r}; contacts go to one of "
            f"{sorted(HOOKS)}: name another connection, or change its type"
        )
    return HOOKS[conn_type](contacts_conn_id)
