"""The hook of a vendor's connection: from the connection to everything that a push of it takes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_contacts.errors import ConfigError, ContactsError

if TYPE_CHECKING:
    import httpx

    from airflow_provider_contacts.pacing.shared import Budget
    from airflow_provider_contacts.task.push_iterator import Outcomes
    from airflow_provider_contacts.transport.client import Client
    from airflow_provider_contacts.transport.connection import Target
    from airflow_provider_contacts.vendor_kit.vendor import Vendor

log = logging.getLogger(__name__)


class ContactsHook(BaseHook):
    """Reach one vendor through one Airflow connection; the base of the five hooks.

    :param contacts_conn_id: the connection. ``None``: the default one of the vendor, such as ``dex_default``.
    """

    conn_name_attr = "contacts_conn_id"
    default_conn_name = ""
    conn_type = ""
    hook_name = ""

    def __init__(self, contacts_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.contacts_conn_id = contacts_conn_id or self.default_conn_name

    def __repr__(self) -> str:
        """Name only the connection."""
        return f"{type(self).__name__}({self.contacts_conn_id!r})"

    def push(
        self,
        records: Any,
        *,
        destination: Mapping[str, Any] | str | None = None,
        sync_key: str | Sequence[str] | None = None,
        field_map: Mapping[str, str] | None = None,
        unmapped: Literal["error", "ignore"] = "error",
        outcomes_conn_id: str | None = None,
        outcomes_table: str = "contact_outcomes",
        create_tables: bool = True,
        sync_id: str | None = None,
        on_unknown: Literal["hold", "reconcile", "resend"] = "hold",
        batch_size: int | None = None,
        max_in_flight: int | None = None,
        requests_per_second: float | None = None,
        request_attempts: int = 5,
        request_timeout: float | None = None,
        max_wait: float = 60.0,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
    ) -> Outcomes:
        """Push records from a task of your own; return an iterator that pushes while it is read.

        Parameters and connection are checked at the call. The iterator yields one outcome a record, as they settle, in
        no particular order. It sends nothing before the first outcome is asked for. Closing it early, also by leaving
        its ``with``, stops the push; requests that are under way get three seconds.

        Without ``outcomes_conn_id`` nothing is remembered: a retry of the task, or the next run, sends the same records
        again. With it, the outcome table remembers as for the operators. The rows then belong to the run and the try of
        the task that calls, where each push must be read to its end before the next one begins; outside of a task, each
        call is a run of its own.

        No outcome makes it fail: the caller looks at the outcomes, and decides.
        :class:`~airflow_provider_contacts.operators.ContactsOperator` describes the other parameters.

        :param records: an iterable of mappings or of rows with names, a pandas or Polars data frame, or an Arrow table.
        :param outcomes_conn_id: connection of the database with the outcome table. ``None``: nothing is remembered.
        :param sync_id: the name under which the table remembers the records; required with ``outcomes_conn_id``.
        :param max_wait: the longest ``Retry-After`` that is waited for, in seconds, at most 86,400. A longer one raises
            ``RetryLaterError``.
        :raises ConfigError: at the call, for a wrong parameter or connection.
        :raises ContactsError: from the iterator, when the push cannot go on. Every record that was read has been
            yielded before.
        """
        given = {name: value for name, value in locals().items() if name not in {"self", "records"}}
        from airflow_provider_contacts.task.push_iterator import outcomes_of

        return outcomes_of(self, records, given)

    def get_conn(self) -> httpx.Client:
        """Return an authenticated ``httpx.Client`` for everything else that the vendor offers.

        Paths are relative to the vendor's base URL, and the credential goes to its host alone. Each request has a
        connection of its own. Nothing is retried or remembered. The caller closes the client.

        :raises ConfigError: if the connection is incomplete or wrong.
        """
        from airflow_provider_contacts.transport.plain_client import plain_client

        target = self.target()
        return plain_client(target.endpoint, timeout=target.request_timeout, on_secret=mask_secret)

    def test_connection(self) -> tuple[bool, str]:
        """Make a real read request, as *Test connection* in Airflow does; return success and a text for people."""
        from airflow_provider_contacts.transport.preflight import read

        check = self.vendor.check
        if check is None:
            return False, f"{self.vendor.title} documents no request that only reads"
        try:
            target = self.target()
            with self.client(target) as client:
                trouble = f"connection {self.contacts_conn_id!r}: the test request failed"
                place = replace(target.place, destination=target.defaults)
                read(self.vendor, client, check(target.defaults), trouble, place)
        except ContactsError as error:
            return False, str(error)
        return True, f"{self.vendor.title} accepts the credential"

    @property
    def vendor(self) -> Vendor:
        """The vendor of this connection type."""
        from airflow_provider_contacts import vendors

        return vendors.load(self.conn_type)

    def target(self) -> Target:
        """Return the connection, read and checked.

        :raises ConfigError: if it is of another type, incomplete or wrong.
        """
        from airflow_provider_contacts.task.connections import connection
        from airflow_provider_contacts.transport.connection import StoredConnection, resolve

        conn = connection(self.contacts_conn_id)
        if conn.conn_type != self.conn_type:
            raise ConfigError(
                f"connection {self.contacts_conn_id!r} has the type {conn.conn_type!r}; {type(self).__name__} takes "
                f"{self.conn_type!r}: name another connection, or use the hook of its type"
            )
        stored = StoredConnection(
            conn_id=self.contacts_conn_id,
            host=conn.host or "",
            schema=conn.schema or "",
            port=conn.port,
            login=conn.login or "",
            password=conn.password or "",
            extra=extra_of(conn),
        )
        return resolve(self.vendor, stored)

    @contextmanager
    def client(self, target: Target) -> Iterator[Client]:
        """Open a client for a push; only the caller's thread may use it."""
        from airflow_provider_contacts.transport.client import Client

        if target.plain_http:
            log.warning("Connection %s sends contacts and credentials without TLS", self.contacts_conn_id)
        with closing(Client(target.endpoint, on_secret=mask_secret)) as client:
            yield client

    @contextmanager
    def budget(self, target: Target, client: Client) -> Iterator[Budget | None]:
        """Open this task's part of the account's rate, where the connection shares one."""
        if target.shared_rate is None:
            yield None
            return
        from airflow_provider_contacts.task.connections import open_budget

        # A request that counts as leaving now must not wait for a token.
        client.warm()
        with closing(open_budget(self.vendor.name, target, target.shared_rate, self.contacts_conn_id)) as budget:
            yield budget


def extra_of(conn: Any) -> Mapping[str, Any]:
    """Return a connection's extra; Airflow itself takes one that is no JSON for empty, which would lose settings."""
    if not (conn.extra or "").strip():
        return {}
    with suppress(ValueError):
        json.loads(conn.extra)
        # Airflow's own reading, since it masks what looks like a secret.
        if isinstance(extra := conn.extra_dejson, Mapping):
            return extra
    raise ConfigError(
        f"the extra of connection {conn.conn_id!r} is no JSON object, such as "
        '{"request_timeout": 30}; Airflow would take it for empty'
    )
