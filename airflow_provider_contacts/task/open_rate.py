"""From a vendor's connection to the store of the rate that its tasks share; everything is checked before a push."""

from __future__ import annotations

import logging
from hashlib import pbkdf2_hmac
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.shared_rate.limiter import LimiterBudget, StateStore
from airflow_provider_contacts.pacing.shared import SharedRate
from airflow_provider_contacts.task.connections import connection
from airflow_provider_contacts.transport.connection import Target
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials

log = logging.getLogger(__name__)

STORES = ("postgres", "mysql", "redis")
"""Connection types of the stores; each is also the extra of this package that installs its provider package."""

ROUNDS = 200_000
"""Of the digest, which takes a tenth of a second: a credential that a person made up cannot be tried out fast."""


def open_budget(vendor: str, target: Target, shared: SharedRate, contacts_conn_id: str) -> LimiterBudget:
    """Open a task's part of the rate.

    :raises ConfigError: naming the connection, the key and what is allowed.
    :raises BudgetError: if the store cannot be reached.
    """
    where = f"rate_limit_conn_id in connection {contacts_conn_id!r} names {shared.conn_id!r}"
    try:
        from pyrate_limiter import GCRA  # noqa: F401  # older versions of the library have none
    except ImportError:
        raise ConfigError(
            f"connection {contacts_conn_id!r}: rate_limit_conn_id needs pyrate-limiter 4.5 or newer; "
            "install airflow-provider-contacts[rate-limit]"
        ) from None
    kind, hook = store_hook(shared.conn_id, where)
    name = account_name(vendor, target)
    store: StateStore
    if kind == "redis":
        from airflow_provider_contacts.ledgers.shared_rate.redis_store import RedisStore

        store = RedisStore(hook.get_conn(), name, where)
    else:
        from airflow_provider_contacts.ledgers.shared_rate import rate_table as sql

        store = sql.SqlStore(sql.connect(hook, where), name, where)
    log.info("At most %g requests a second, shared through %r", shared.requests_per_second, shared.conn_id)
    return LimiterBudget(store, shared)


def store_hook(conn_id: str, where: str) -> tuple[str, Any]:
    """Return the type of the store's connection, and its hook."""
    conn = connection(conn_id, where)
    kind = conn.conn_type or ""
    if kind not in STORES:
        raise ConfigError(f"{where}, of the type {kind!r}; a rate is shared through one of {list(STORES)}")
    if kind == "redis" and conn.extra_dejson.get("cluster"):
        # Its nodes have clocks of their own.
        raise ConfigError(f"{where}, a cluster; a rate is shared through one Redis server")
    try:
        return kind, BaseHook.get_hook(conn_id)
    except (AirflowException, ImportError):
        raise ConfigError(
            f"{where}, and no installed provider package serves the type {kind!r}; "
            f"install airflow-provider-contacts[{kind}]"
        ) from None


def account_name(vendor: str, target: Target) -> str:
    """Return the name of a vendor's account in the store: the same for every connection with the same credential.

    Of a client id and secret only the id counts, so that a new secret is the same account. The credential cannot be
    read back from the name: see :data:`ROUNDS`.
    """
    credential = target.endpoint.credential
    known = credential.client_id if isinstance(credential, ClientCredentials) else credential.value
    salt = f"airflow-provider-contacts rate {vendor} {target.host}"
    return f"{vendor}:{pbkdf2_hmac('sha256', known.encode(), salt.encode(), ROUNDS, dklen=16).hex()}"
