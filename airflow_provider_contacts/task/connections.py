"""What a task opens by a connection id; what is wrong with one is a ``ConfigError``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from hashlib import pbkdf2_hmac
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials

if TYPE_CHECKING:
    from airflow_provider_contacts.ledgers.shared_rate.limiter import LimiterBudget
    from airflow_provider_contacts.pacing.shared import SharedRate
    from airflow_provider_contacts.task.contacts_hook import ContactsHook
    from airflow_provider_contacts.transport.connection import Target

log = logging.getLogger(__name__)

WITH_TABLE = ("sqlite", "postgres", "mysql")
"""Connection types that hold the outcome table."""

WITH_RATE = ("postgres", "mysql")
"""Connection types through which a rate is shared."""

ROUNDS = 200_000
"""Of the digest, which takes a tenth of a second: a credential that a person made up cannot be tried out fast."""


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
    from airflow_provider_contacts.hooks import HOOKS, ContactsHook

    kind = connection(conn_id, "contacts_conn_id").conn_type or ""
    if kind in HOOKS:
        return HOOKS[kind](conn_id)
    foreign = vendors.foreign_names()
    if kind in foreign:
        # Before Airflow is asked, which does not say why a distribution cannot be loaded.
        vendors.load(kind)
        if isinstance(hook := registered_hook(conn_id), ContactsHook):
            return hook
    raise ConfigError(
        f"contacts_conn_id: connection {conn_id!r} has the type {kind!r}; contacts go to one of "
        f"{sorted([*HOOKS, *foreign])}: name another connection, or change its type"
        + (f". The package that brings {kind!r} registers no hook of that type in Airflow" if kind in foreign else "")
    )


def named_table() -> tuple[str, str]:
    """Return the connection id and table that Airflow's configuration names for page and command line, if it does."""
    from airflow.configuration import conf

    table = conf.get("contacts", "outcomes_table", fallback="") or "contact_outcomes"
    return conf.get("contacts", "outcomes_conn_id", fallback=""), table


def registered_hook(conn_id: str) -> Any:
    """Return the hook that a provider package registers for a connection; without one, the error that says why."""
    try:
        return BaseHook.get_hook(conn_id)
    except (AirflowException, ImportError) as error:
        return error


def sql_hook(conn_id: str, parameter: str) -> Any:
    """Return the DB-API hook of an SQL connection; ``parameter`` names it in errors."""
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    kind = connection(conn_id, parameter).conn_type or ""
    hook = registered_hook(conn_id)
    if isinstance(hook, DbApiHook):
        return hook
    if not isinstance(hook, Exception):
        raise ConfigError(f"{parameter}: connection {conn_id!r} is no SQL connection; its type is {kind!r}")
    reason = missing_package(kind, hook)
    if parameter.endswith("outcomes_conn_id") and kind and kind not in WITH_TABLE:
        # A package for it would not help.
        reason = f"the outcome table needs one of {list(WITH_TABLE)}"
    raise ConfigError(f"{parameter}: connection {conn_id!r} has the type {kind!r}; {reason}")


def missing_package(kind: str, error: Exception) -> str:
    """Say why connections of a type have no hook, and what to install."""
    if not kind:
        return "set its conn_type, such as postgres"
    package = f"airflow-provider-contacts[{kind}]" if kind in WITH_TABLE else f"Airflow's provider package of {kind!r}"
    if isinstance(error, ImportError) and error.name:
        return f"its hook needs the module {error.name!r}: install {package}"
    return f"no installed provider package serves it: install {package}"


def run_of(context: Mapping[str, Any]) -> RunIdentity:
    """Return the run that the rows of a task with this context belong to."""
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    region = None
    # Below Airflow 3.4 there is none. There, mapped tasks have one too, all of one expansion the same, and their map
    # index in it: only in a loop does it tell executions apart.
    region_id = getattr(ti, "region_id", None)
    if region_id is not None and region_id.int and ("loop" in context or ti.region_index != map_index):
        region = f"{region_id}/{ti.region_index}"
    return RunIdentity(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=map_index,
        try_number=ti.try_number,
        region=region,
    )


def open_budget(vendor: str, target: Target, shared: SharedRate, contacts_conn_id: str) -> LimiterBudget:
    """Open a task's part of the rate; a database that cannot be reached is a ``BudgetError``."""
    where = f"rate_limit_conn_id in connection {contacts_conn_id!r} names {shared.conn_id!r}"
    try:
        from pyrate_limiter import GCRA  # noqa: F401  # older versions of the library have none
    except ImportError:
        raise ConfigError(
            f"connection {contacts_conn_id!r}: rate_limit_conn_id needs pyrate-limiter 4.5 or newer; "
            "install airflow-provider-contacts[rate-limit]"
        ) from None
    from airflow_provider_contacts.ledgers.shared_rate.limiter import LimiterBudget
    from airflow_provider_contacts.ledgers.shared_rate.rate_table import RateRow, connect

    engine = connect(rate_hook(shared.conn_id, where), where)
    row = RateRow(engine, account_name(vendor, target), where)
    log.info("At most %g requests a second, shared through %r", shared.requests_per_second, shared.conn_id)
    return LimiterBudget(row, shared)


def rate_hook(conn_id: str, where: str) -> Any:
    """Return the hook of the connection through which a rate is shared."""
    kind = connection(conn_id, where).conn_type or ""
    if kind not in WITH_RATE:
        raise ConfigError(f"{where}, of the type {kind!r}; a rate is shared through one of {list(WITH_RATE)}")
    if isinstance(hook := registered_hook(conn_id), Exception):
        raise ConfigError(f"{where}, of the type {kind!r}; {missing_package(kind, hook)}")
    return hook


def account_name(vendor: str, target: Target) -> str:
    """Return the name of a vendor's account in the database: the same for every connection with the same credential.

    Of a client id and secret only the id counts, so that a new secret is the same account. The credential cannot be
    read back from the name: see :data:`ROUNDS`.
    """
    credential = target.endpoint.credential
    known = credential.client_id if isinstance(credential, ClientCredentials) else credential.value
    salt = f"airflow-provider-contacts rate {vendor} {target.host}"
    return f"{vendor}:{pbkdf2_hmac('sha256', known.encode(), salt.encode(), ROUNDS, dklen=16).hex()}"
