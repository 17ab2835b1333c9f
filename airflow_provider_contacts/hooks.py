"""Connection to client and destination, and ``push``: one short class a vendor over one hook."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseHook

from airflow_provider_contacts.core.errors import ConfigError, LookupFailedError

if TYPE_CHECKING:
    import httpx

    from airflow_provider_contacts.core.client import Client
    from airflow_provider_contacts.core.connection import Target
    from airflow_provider_contacts.core.engine import Push
    from airflow_provider_contacts.core.ledger import Ledger
    from airflow_provider_contacts.core.outcome import Outcome
    from airflow_provider_contacts.core.record import Mapper
    from airflow_provider_contacts.core.vendor import Answer, Destination, Limits, Request, Vendor

DEFAULT_TIMEOUT = 60.0
"""Seconds a request may take, where neither the task nor the connection says otherwise."""


def is_count(value: Any) -> bool:
    """Tell whether a value is a whole number of at least 1, or left out."""
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)


def is_amount(value: Any, most: float) -> bool:
    """Tell whether a value is a number above 0 and not above ``most``, or left out."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """What the user may say of one push; names, defaults and meanings are the operators'."""

    sync_key: str | Sequence[str] | None = None
    field_map: Mapping[str, str] | None = None
    unmapped: Literal["error", "ignore"] = "error"
    on_unknown: Literal["hold", "reconcile", "resend"] = "hold"
    batch_size: int | None = None
    max_in_flight: int | None = None
    requests_per_second: float | None = None
    request_attempts: int = 5
    request_timeout: float = DEFAULT_TIMEOUT
    max_wait: float = 60.0

    def check(self) -> None:
        """Check types and ranges.

        :raises ConfigError: naming the parameter and what is allowed.
        """
        words = {"unmapped": ("error", "ignore"), "on_unknown": ("hold", "reconcile", "resend")}
        for name, allowed in words.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is one of {list(allowed)}")
        if self.on_unknown == "reconcile":
            raise ConfigError('on_unknown="reconcile" is not there yet; use "hold" or "resend"')
        for name in ("batch_size", "max_in_flight", "request_attempts"):
            if not is_count(getattr(self, name)):
                raise ConfigError(f"{name} is a whole number of at least 1")
        for name, most in (("requests_per_second", 1e6), ("request_timeout", 600.0), ("max_wait", 86_400.0)):
            if not is_amount(getattr(self, name), most):
                raise ConfigError(f"{name} is a number above 0, {most:.0f} at most")
        field_map: Any = self.field_map
        if field_map is not None and not isinstance(field_map, Mapping):
            raise ConfigError("field_map is a mapping of source columns to vendor fields")

    def key_columns(self) -> tuple[str, ...]:
        """Return the columns of the sync key; none for ``None``."""
        if self.sync_key is None:
            return ()
        columns: tuple[Any, ...] = (self.sync_key,) if isinstance(self.sync_key, str) else tuple(self.sync_key)
        if not columns or not all(isinstance(column, str) and column for column in columns):
            raise ConfigError("sync_key is a column name, a list of column names, or None")
        return columns


class ContactsHook(BaseHook):
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

    @property
    def vendor(self) -> Vendor:
        """The vendor's words."""
        from airflow_provider_contacts import vendors

        return vendors.load(self.conn_type)

    def target(self) -> Target:
        """Read and check the connection.

        :raises ConfigError: naming the connection, the field and what is allowed.
        """
        from airflow_provider_contacts.core.connection import StoredConnection, resolve

        conn = self.get_connection(self.contacts_conn_id)
        if conn.conn_type != self.conn_type:
            raise ConfigError(
                f"connection {self.contacts_conn_id!r} has the type {conn.conn_type!r}; "
                f"{type(self).__name__} takes {self.conn_type!r}"
            )
        try:
            extra = conn.extra_dejson or {}
        except ValueError:
            extra = None
        if not isinstance(extra, Mapping):
            raise ConfigError(f"the extra of connection {self.contacts_conn_id!r} is no JSON object")
        stored = StoredConnection(
            conn_id=self.contacts_conn_id,
            host=conn.host or "",
            schema=conn.schema or "",
            port=conn.port,
            login=conn.login or "",
            password=conn.password or "",
            extra=extra,
        )
        return resolve(self.vendor, stored)

    @contextmanager
    def client(self, target: Target) -> Iterator[Client]:
        """Open a client for a push; the caller's thread alone may use it."""
        from airflow.sdk.log import mask_secret

        from airflow_provider_contacts.core.client import Client

        if target.plain_http:
            self.log.warning("Connection %s sends contacts and credentials without TLS", self.contacts_conn_id)
        client = Client(target.endpoint, on_secret=mask_secret)
        try:
            yield client
        finally:
            client.close()

    def destination(self, client: Client, target: Target, given: Any) -> Destination:
        """Return the exact destination; asks the vendor where a name must become an id.

        :raises ConfigError: for unknown, missing or contradicting keys, or an object that does not exist.
        """
        from airflow_provider_contacts.core.connection import check_destination
        from airflow_provider_contacts.core.errors import UnreadableError

        destination: Destination = check_destination(self.vendor, given, target.defaults)
        lookup = self.vendor.lookup
        request = lookup.request(destination) if lookup is not None else None
        if lookup is None or request is None:
            return destination
        answer = self._read(client, request, "the destination cannot be looked up")
        try:
            return lookup.read(answer, destination)
        except UnreadableError:
            raise LookupFailedError(
                f"{self.vendor.title}: the answer to the destination's look-up is unreadable"
            ) from None

    def _read(self, client: Client, request: Request, trouble: str) -> Answer:
        from airflow_provider_contacts.core.errors import RefusedError
        from airflow_provider_contacts.core.vendor import Answer
        from airflow_provider_contacts.core.wire import NotSent

        result = client.call(request)
        if isinstance(result, Answer) and 200 <= result.status < 300:  # noqa: PLR2004
            return result
        code = f"http_{result.status}" if isinstance(result, Answer) else result.code
        text = f"{self.vendor.title}, connection {self.contacts_conn_id!r}: {trouble} ({code})"
        refused = (
            result.refused
            if isinstance(result, NotSent)
            else isinstance(result, Answer) and result.status in {401, 403, 404}
        )
        raise RefusedError(text) if refused else LookupFailedError(text)

    def mapper(
        self, options: PushOptions, destination: Destination, sync_id: str, columns: Sequence[str] | None
    ) -> Mapper:
        """Return how rows become payloads, checked against the source's columns where they are known.

        :raises ConfigError: naming columns and what is allowed.
        """
        from airflow_provider_contacts.core.record import Mapper

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

    def limits(self, options: PushOptions) -> Limits:
        """Return the vendor's limits under the user's own.

        :raises ConfigError: where the user's batch is larger than the vendor takes.
        """
        vendor = self.vendor
        if options.batch_size is not None and options.batch_size > vendor.limits.batch_size:
            raise ConfigError(f"batch_size is at most {vendor.limits.batch_size} for {vendor.title}")
        stated: dict[str, Any] = {
            "batch_size": options.batch_size,
            "max_in_flight": options.max_in_flight,
            "requests_per_second": options.requests_per_second,
        }
        return replace(vendor.limits, **{name: value for name, value in stated.items() if value is not None})

    def engine(
        self,
        rows: Iterator[Any],
        *,
        client: Client,
        target: Target,
        mapper: Mapper,
        options: PushOptions,
        ledger: Ledger,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Push:
        """Return a push that is ready to run."""
        from airflow_provider_contacts.core.engine import Push
        from airflow_provider_contacts.core.settings import PushSettings

        stated = target.request_timeout
        settings = PushSettings(
            limits=self.limits(options),
            request_attempts=options.request_attempts,
            request_timeout=stated
            if stated and options.request_timeout == DEFAULT_TIMEOUT
            else options.request_timeout,
            max_wait=options.max_wait,
            on_unknown=options.on_unknown,
            assumptions=target.assumptions,
        )
        return Push(rows, mapper=mapper, ledger=ledger, sender=client, settings=settings, stopping=stopping)

    def push(
        self, records: Iterable[Any], *, destination: Mapping[str, Any] | None = None, **options: Any
    ) -> Iterator[Outcome]:
        """Push records and yield one outcome each, as they settle, in no particular order.

        No ledger: nothing is remembered. A retry of the task, or the next run, sends the same records again, and
        what was lost in a crash is not known. Use ``PushContactsOperator`` with an outcome table for that.

        :param records: an iterable of mappings, or a pandas DataFrame.
        :param destination: the vendor's destination keys, over those in the connection's extra.
        :param options: ``sync_key``, ``field_map``, ``unmapped``, ``batch_size``, ``max_in_flight``,
            ``requests_per_second``, ``request_attempts``, ``request_timeout`` (seconds) and ``max_wait`` (seconds), as
            on the operators. Without ``sync_key`` equal payloads are duplicates.
        :raises ContactsError: when the push cannot go on; every record that was read has been yielded before.
        """
        from airflow_provider_contacts.core.ledger import MemoryLedger
        from airflow_provider_contacts.sources import rows_of_records

        chosen = push_options(options)
        target = self.target()
        self.log.warning("No ledger: nothing of this push is remembered, and a retry sends its records again")
        with rows_of_records(records) as rows, self.client(target) as client:
            exact = self.destination(client, target, destination)
            mapper = self.mapper(chosen, exact, "", rows.columns)
            ledger = MemoryLedger(secrets.token_hex(8))
            push = self.engine(rows, client=client, target=target, mapper=mapper, options=chosen, ledger=ledger)
            yield from push.run()

    def get_conn(self) -> httpx.Client:
        """Return a configured, authenticated httpx client for anything else the vendor offers.

        The caller closes it. Nothing it does is retried or remembered.
        """
        from airflow.sdk.log import mask_secret

        from airflow_provider_contacts.core.plain_client import plain_client

        target = self.target()
        return plain_client(target.endpoint, timeout=target.request_timeout or DEFAULT_TIMEOUT, on_secret=mask_secret)

    def test_connection(self) -> tuple[bool, str]:
        """Make a real read request, where the vendor documents one."""
        from airflow_provider_contacts.core.errors import ContactsError

        check = self.vendor.check
        if check is None:
            return False, f"{self.vendor.title} documents no request that only reads"
        try:
            target = self.target()
            with self.client(target) as client:
                self._read(client, check(target.defaults), "the test request failed")
        except ContactsError as error:
            return False, str(error)
        return True, f"{self.vendor.title} accepts the credential"


def push_options(given: Mapping[str, Any]) -> PushOptions:
    """Return checked options.

    :raises ConfigError: for an unknown name or a value out of range.
    """
    known = PushOptions.__dataclass_fields__
    strange = sorted(set(given) - set(known))
    if strange:
        raise ConfigError(f"unknown push options {strange}; known are {sorted(known)}")
    options = PushOptions(**given)
    options.check()
    return options


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
    hook_name = "Talkdesk record lists"


def hook_for(conn_type: str, contacts_conn_id: str) -> ContactsHook:
    """Return the hook of a connection type.

    :raises ConfigError: where the type is none of ours.
    """
    hooks = {hook.conn_type: hook for hook in ContactsHook.__subclasses__()}
    if conn_type not in hooks:
        raise ConfigError(
            f"connection {contacts_conn_id!r} has the type {conn_type!r}; contacts go to one of {sorted(hooks)}"
        )
    return hooks[conn_type](contacts_conn_id)
