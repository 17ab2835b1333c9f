"""Connection to client and destination: one short class a vendor over one hook."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.hook_push import PushingHook

if TYPE_CHECKING:
    import httpx

    from airflow_provider_contacts.pacing.shared import Budget
    from airflow_provider_contacts.records.mapper import Mapper
    from airflow_provider_contacts.task.options import PushOptions
    from airflow_provider_contacts.transport.client import Client
    from airflow_provider_contacts.transport.connection import Target
    from airflow_provider_contacts.vendor_kit.push_settings import PushSettings
    from airflow_provider_contacts.vendor_kit.vendor import Destination, Vendor


log = logging.getLogger(__name__)


class ContactsHook(PushingHook, BaseHook):
    """Reach one vendor through one Airflow connection.

    :param contacts_conn_id: connection of this hook's type.
    """

    conn_name_attr = "contacts_conn_id"
    default_conn_name = ""
    conn_type = ""
    hook_name = ""

    def __init__(self, contacts_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.contacts_conn_id = contacts_conn_id or self.default_conn_name

    def __repr__(self) -> str:
        """Name the connection only."""
        return f"{type(self).__name__}({self.contacts_conn_id!r})"

    @property
    def vendor(self) -> Vendor:
        """The vendor's words."""
        from airflow_provider_contacts import vendors

        return vendors.load(self.conn_type)

    def target(self) -> Target:
        """Read and check the connection.

        :raises ConfigError: naming the connection, the field and what is allowed.
        """
        from airflow.sdk.exceptions import AirflowNotFoundException
        from airflow.sdk.log import mask_secret

        from airflow_provider_contacts.task.sql_connections import no_such_connection
        from airflow_provider_contacts.transport.connection import StoredConnection, resolve

        try:
            conn = self.get_connection(self.contacts_conn_id)
        except AirflowNotFoundException:
            raise no_such_connection(self.contacts_conn_id, "") from None
        if conn.conn_type != self.conn_type:
            own = HOOKS.get(conn.conn_type or "")
            raise ConfigError(
                f"connection {self.contacts_conn_id!r} has the type {conn.conn_type!r}; "
                f"{type(self).__name__} takes {self.conn_type!r}: name another connection, or "
                f"{f'use {own.__name__}' if own else 'change its type'}"
            )
        stored = StoredConnection(
            conn_id=self.contacts_conn_id,
            host=conn.host or "",
            schema=conn.schema or "",
            port=conn.port,
            login=conn.login or "",
            password=conn.password or "",
            extra=self._extra(conn),
        )
        target = resolve(self.vendor, stored)
        # Airflow masks the extra as one text, and by the names of its keys; a proxy's password is behind neither.
        if target.endpoint.proxy:
            mask_secret(target.endpoint.proxy)
        return target

    def _extra(self, conn: Any) -> Mapping[str, Any]:
        """Return the extra; Airflow itself takes one that is no JSON for empty, which would lose every setting."""
        import json

        text = conn.extra
        if not text or not text.strip():
            return {}
        try:
            json.loads(text)
        except ValueError:
            extra: Any = None
        else:
            # Airflow's own reading, since it masks what looks like a secret.
            extra = conn.extra_dejson
        if not isinstance(extra, Mapping):
            raise ConfigError(
                f"the extra of connection {self.contacts_conn_id!r} is no JSON object, such as "
                '{"request_timeout": 30}; Airflow would take it for empty'
            )
        return extra

    @contextmanager
    def client(self, target: Target) -> Iterator[Client]:
        """Open a client for a push; the caller's thread alone may use it."""
        from airflow.sdk.log import mask_secret

        from airflow_provider_contacts.transport.client import Client

        if target.plain_http:
            log.warning("Connection %s sends contacts and credentials without TLS", self.contacts_conn_id)
        client = Client(target.endpoint, on_secret=mask_secret)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def budget(self, target: Target, client: Client) -> Iterator[Budget | None]:
        """Open this task's part of the account's rate, where the connection shares one.

        :param client: is made ready first: what is counted as leaving now must not wait for a token.
        :raises ConfigError: where the store cannot be what the connection says.
        :raises BudgetError: where the store cannot be reached.
        """
        if target.shared_rate is None:
            yield None
            return
        client.warm()
        from contextlib import closing

        from airflow_provider_contacts.task.open_rate import open_budget

        opened = open_budget(self.vendor.name, target, target.shared_rate, self.contacts_conn_id)
        with closing(opened) as budget:
            yield budget

    def destination(self, client: Client, target: Target, given: Any) -> Destination:
        """Return the exact destination; asks the vendor where a name must become an id.

        :raises ConfigError: for unknown, missing or contradicting keys, or an object that does not exist.
        """
        from airflow_provider_contacts.transport.preflight import exact_destination

        where = f"connection {self.contacts_conn_id!r}"
        return exact_destination(
            self.vendor,
            client,
            given,
            target.defaults,
            where,
            secrets=target.endpoint.secrets,
            place=target.place,
        )

    def mapper(
        self, options: PushOptions, destination: Destination, sync_id: str, columns: Sequence[str] | None
    ) -> Mapper:
        """Return how rows become payloads, checked against the source's columns where they are known.

        :raises ConfigError: naming columns and what is allowed.
        """
        from airflow_provider_contacts.records.mapper import Mapper

        mapper = Mapper(
            vendor=self.vendor,
            destination=destination,
            sync_id=sync_id,
            sync_key=options.key_columns(),
            field_map=dict(options.field_map or {}),
            unmapped=options.unmapped,
        )
        mapper.check(columns)
        return mapper

    def settings(self, options: PushOptions, target: Target) -> PushSettings:
        """Return what the engine is told: the vendor's words under the connection's under the task's.

        :raises ConfigError: where the user's batch is larger than the vendor takes.
        """
        from airflow_provider_contacts.vendor_kit.push_settings import PushSettings

        return PushSettings(
            limits=options.limits(self.vendor),
            request_attempts=options.request_attempts,
            request_timeout=options.timeout(target.request_timeout),
            max_wait=options.max_wait,
            on_unknown=options.on_unknown,
            reconcile_delay=target.reconcile_delay,
            assumptions=target.assumptions,
            secrets=target.endpoint.secrets,
            place=target.place,
        )

    def get_conn(self) -> httpx.Client:
        """Return a configured, authenticated httpx client for anything else the vendor offers.

        Paths are relative to the vendor's base URL; the credential goes to its host alone. The caller closes the
        client. Nothing that it does is retried or remembered.
        """
        from airflow.sdk.log import mask_secret

        from airflow_provider_contacts.task.options import DEFAULT_TIMEOUT
        from airflow_provider_contacts.transport.plain_client import plain_client

        target = self.target()
        return plain_client(target.endpoint, timeout=target.request_timeout or DEFAULT_TIMEOUT, on_secret=mask_secret)

    def test_connection(self) -> tuple[bool, str]:
        """Make a real read request, where the vendor documents one."""
        from airflow_provider_contacts.errors import ContactsError
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


class ApptotoHook(ContactsHook):
    """Apptoto: appointment reminders."""

    default_conn_name = "apptoto_default"
    conn_type = "apptoto"
    hook_name = "Apptoto"


class DexHook(ContactsHook):
    """Dex: personal CRM."""

    default_conn_name = "dex_default"
    conn_type = "dex"
    hook_name = "Dex"


class IntermezzoHook(ContactsHook):
    """Intermezzo: payroll, contacts of an organization."""

    default_conn_name = "intermezzo_default"
    conn_type = "intermezzo"
    hook_name = "Intermezzo"


class NedzoHook(ContactsHook):
    """Nedzo: voice calls."""

    default_conn_name = "nedzo_default"
    conn_type = "nedzo"
    hook_name = "Nedzo"


class TalkdeskHook(ContactsHook):
    """Talkdesk: record lists of an outbound dialer."""

    default_conn_name = "talkdesk_default"
    conn_type = "talkdesk"
    hook_name = "Talkdesk"


HOOKS: Mapping[str, type[ContactsHook]] = {
    hook.conn_type: hook for hook in (ApptotoHook, DexHook, IntermezzoHook, NedzoHook, TalkdeskHook)
}
"""The hook of each connection type. A subclass of one in a user's code does not take its place."""
