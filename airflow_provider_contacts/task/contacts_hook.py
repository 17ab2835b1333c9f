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
    """Reach one vendor through one Airflow connection of this hook's type."""

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
        """Check the parameters at once, and return an iterator that pushes while it is read.

        It yields one outcome a record, as they settle, in no particular order. Nothing is sent before the first one
        is asked for; an iterator that nobody reads does nothing but warn. Closing it early (or leaving its ``with``)
        stops the push; what is in flight gets three seconds.

        Without ``outcomes_conn_id`` nothing is remembered: a retry of the task, or the next run, sends the same records
        again, and what was lost in a crash is not known. With it, ``sync_id`` is required, and the table remembers as
        with ``PushContactsOperator``. Within a task, the rows belong to its run and try, so that a retry knows what
        earlier tries have sent; one such push at a time can be read, and the table of runs shows the last one. Outside
        of a task, each call is a run of its own.

        ``operators.ContactsOperator`` describes the other parameters.

        :param records: an iterable of mappings, or a pandas DataFrame.
        :param max_wait: seconds that a ``Retry-After`` is waited for; a longer one raises ``RetryLaterError``.
        :raises ConfigError: at the call, for a wrong parameter or connection.
        :raises ContactsError: from the iterator, when the push cannot go on; every record that was read has been
            yielded before.
        """
        given = {name: value for name, value in locals().items() if name not in {"self", "records"}}
        from airflow_provider_contacts.task.push_iterator import outcomes_of

        return outcomes_of(self, records, given)

    def get_conn(self) -> httpx.Client:
        """Return a configured, authenticated httpx client for anything else the vendor offers.

        Paths are relative to the vendor's base URL; the credential goes to its host alone. The caller closes the
        client. Nothing that it does is retried or remembered.
        """
        from airflow_provider_contacts.transport.plain_client import plain_client

        target = self.target()
        return plain_client(target.endpoint, timeout=target.request_timeout, on_secret=mask_secret)

    def test_connection(self) -> tuple[bool, str]:
        """Make a real read request, where the vendor documents one."""
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
        """The vendor's definition."""
        from airflow_provider_contacts import vendors

        return vendors.load(self.conn_type)

    def target(self) -> Target:
        """Read and check the connection."""
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
