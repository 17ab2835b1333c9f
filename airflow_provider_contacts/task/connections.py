"""Connection ids to connections and hooks; every trouble with one is a ``ConfigError`` that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from airflow_provider_contacts.errors import ConfigError

if TYPE_CHECKING:
    from airflow_provider_contacts.task.contacts_hook import ContactsHook

WITH_EXTRA = ("sqlite", "postgres", "mysql")
"""Connection types whose provider package the extra of their name installs; they hold the outcome table."""


def connection(conn_id: str, where: str = "") -> Any:
    """Return a connection.

    :param where: what names the connection, for the error.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(
            f"{where and f'{where}: '}there is no connection {conn_id!r}; make it under Admin > Connections, as "
            f"AIRFLOW_CONN_{conn_id.upper()} in the environment, or in the secrets backend"
        ) from None


def contacts_hook(conn_id: str) -> ContactsHook:
    """Return the hook that a vendor connection's type asks for, of this package before any other."""
    from airflow_provider_contacts import vendors
    from airflow_provider_contacts.task.contacts_hook import ContactsHook

    kind = connection(conn_id, "contacts_conn_id").conn_type or ""
    known = hook_classes()
    if kind in known:
        return known[kind](conn_id)
    foreign = vendors.foreign_names()
    hook = foreign_hook(conn_id) if kind in foreign else None
    if isinstance(hook, ContactsHook):
        return hook
    raise ConfigError(
        f"contacts_conn_id: connection {conn_id!r} has the type {kind!r}; contacts go to one of "
        f"{sorted([*known, *foreign])}: name another connection, or change its type"
        + (f". The package that brings {kind!r} registers no hook of that type in Airflow" if kind in foreign else "")
    )


def foreign_hook(conn_id: str) -> Any:
    """Return the hook that another provider package registers for a connection, ``None`` without one."""
    try:
        return BaseHook.get_hook(conn_id)
    except (AirflowException, ImportError):
        return None


def hook_classes() -> Mapping[str, type[ContactsHook]]:
    """Return the hook class of each vendor's connection type."""
    from airflow_provider_contacts.hooks import HOOKS

    return HOOKS


def sql_hook(conn_id: str, parameter: str) -> Any:
    """Return the DB-API hook of an SQL connection.

    :param parameter: names the connection in errors.
    """
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    kind = connection(conn_id, parameter).conn_type or ""
    try:
        hook = BaseHook.get_hook(conn_id)
    except (AirflowException, ImportError) as error:
        if kind and kind not in WITH_EXTRA and parameter == "outcomes_conn_id":
            # A package for it would not help.
            raise ConfigError(
                f"{parameter}: connection {conn_id!r} has the type {kind!r}; the outcome table needs one of "
                f"{list(WITH_EXTRA)}"
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
    package = f"airflow-provider-contacts[{kind}]" if kind in WITH_EXTRA else f"Airflow's provider package of {kind!r}"
    return f"{text}; install {package}"
