"""One push of one connection's vendor: everything that it opens, in order, for an operator or a hook."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.push import Push
from airflow_provider_contacts.errors import ContactsError, UndeliveredError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.sync_ids import default_sync_id, refuse_renamed
from airflow_provider_contacts.sources import RowSource, check_key
from airflow_provider_contacts.task.connections import sql_hook
from airflow_provider_contacts.task.parameters import PushParameters
from airflow_provider_contacts.task.summary import Progress, Report
from airflow_provider_contacts.transport.preflight import exact_destination
from airflow_provider_contacts.vendor_kit.push_settings import PushSettings

if TYPE_CHECKING:
    from airflow_provider_contacts.ledgers.sql.open_table import Opening
    from airflow_provider_contacts.records.batch import Finished
    from airflow_provider_contacts.task.contacts_hook import ContactsHook
    from airflow_provider_contacts.transport.client import Client
    from airflow_provider_contacts.vendor_kit.vendor import Destination

log = logging.getLogger(__name__)

Intake = tuple[Iterator[Any], Mapper]
"""Records, and how they become payloads."""


class Pushing:
    """One push, not to be run twice; a subclass gives its rows, and its memory where that is no table.

    :param source_conn_id: SQL connection that is read meanwhile.
    """

    client: Client
    destination: Destination
    report: Report
    ledger: Ledger
    requires_key = False
    """Whether ``sync_key`` must be written out, so that ``None`` is a decision."""

    def __init__(
        self, hook: ContactsHook, parameters: PushParameters, run: RunIdentity, source_conn_id: str | None = None
    ) -> None:
        self.hook, self.parameters, self.run, self.source_conn_id = hook, parameters, run, source_conn_id
        self.interrupts = Interrupts()
        self.target = target = hook.target()
        # The task's over the connection's over the vendor's.
        self.settings = PushSettings(
            limits=parameters.limits(hook.vendor),
            request_attempts=parameters.request_attempts,
            request_timeout=parameters.request_timeout or target.request_timeout,
            max_wait=parameters.max_wait,
            on_unknown=parameters.on_unknown,
            reconcile_delay=target.reconcile_delay,
            assumptions=target.assumptions,
            secrets=target.endpoint.secrets,
            place=target.place,
        )

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the source."""
        raise NotImplementedError

    def memory(self) -> AbstractContextManager[Ledger]:
        """Open the ledger."""
        from airflow_provider_contacts.ledgers.sql.open_table import open_ledger

        return closing(open_ledger(self.opening(), plan_only=self.parameters.plan_only))

    def stopping(self) -> bool:
        """Tell whether the push was told to stop."""
        return False

    def mapper(self, columns: tuple[str, ...] | None, *, untyped: bool = False) -> Mapper:
        """Return how rows become payloads, checked against the source's columns if they are known."""
        parameters = self.parameters
        mapper = Mapper(
            vendor=self.hook.vendor,
            destination=self.destination,
            sync_id=self.report.sync_id,
            sync_key=parameters.sync_key,
            field_map=dict(parameters.field_map or {}),
            unmapped=parameters.unmapped,
            untyped=untyped,
        )
        mapper.check(columns)
        return mapper

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Open client and ledger, once it is known where the records go."""
        hook, target = self.hook, self.target
        with hook.client(target) as self.client:
            self.destination = exact_destination(
                hook.vendor,
                self.client,
                self.parameters.destination,
                target.defaults,
                f"connection {hook.contacts_conn_id!r}",
                secrets=target.endpoint.secrets,
                place=target.place,
            )
            self.report = self.new_report()
            # Parameters that need no row are checked before a run is registered or a query is run.
            self.mapper(None)
            with self.memory() as self.ledger:
                yield

    def new_report(self) -> Report:
        """Return the report of the push; without a ``sync_id``, under the default one of a task."""
        parameters, vendor, run = self.parameters, self.hook.vendor, self.run
        found = self.destination.get(vendor.destination.object_key or "")
        place = None if found is None else str(found)
        sync_id = parameters.sync_id
        if sync_id is None:
            sync_id = default_sync_id(run.dag_id, run.task_id, parameters.contacts_conn_id, place)
        return Report(
            vendor=vendor.name,
            sync_id=sync_id,
            sync_run_id=run.sync_run_id,
            destination_object=place,
            outcomes_table=parameters.outcomes_table if parameters.outcomes_conn_id else None,
            wanted=parameters.xcom_outcomes,
        )

    def binding(self) -> Binding:
        """Return the destination that the ``sync_id`` belongs to."""
        report = self.report
        return Binding(
            sync_id=report.sync_id,
            destination=report.vendor,
            destination_host=self.target.host,
            destination_object=report.destination_object or None,
        )

    def opening(self) -> Opening:
        """Return what opens the outcome table."""
        from airflow_provider_contacts.ledgers.sql.open_table import Opening
        from airflow_provider_contacts.ledgers.sql.transactions import Patience

        parameters = self.parameters
        return Opening(
            hook=sql_hook(parameters.outcomes_conn_id or "", "outcomes_conn_id"),
            source=sql_hook(self.source_conn_id, "sql_conn_id") if self.source_conn_id else None,
            table=parameters.outcomes_table,
            create_tables=parameters.create_tables,
            store_payload=parameters.store_payload,
            run=self.run,
            binding=self.binding(),
            patience=Patience(stopping=self.stopping),
        )

    @contextmanager
    def intake(self) -> Iterator[Intake]:
        """Open the source."""
        with self.rows() as source:
            mapper = self.mapper(source.columns, untyped=source.untyped)
            check_key(source, mapper.sync_key)
            if self.parameters.outcomes_conn_id and not (mapper.sync_key or self.requires_key):
                log.warning(
                    "No sync_key: a record is known by the digest of its payload, so one whose data changes is sent as "
                    "a new one; name in sync_key the column that identifies a record"
                )
            self.report.total = source.total
            if self.parameters.sync_id is None:
                refuse_renamed(self.ledger, self.report.sync_id, mapper, source.look_ahead)
            yield source, mapper

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Write how the push ends into the run's row: a run that never ends looks like a dead worker."""
        report = self.report
        try:
            yield
        except BaseException as error:
            failed = isinstance(error, UndeliveredError)
            status = "failed" if failed else "running" if self.comes_back(error) else "aborted"
            try:
                report.end(status, self.ledger, message_of(error))
            except ContactsError:
                # It must not hide why the push failed.
                log.warning("The run's row could not be written")
            raise
        report.end("partial" if report.num_undelivered else "succeeded", self.ledger)

    def comes_back(self, error: BaseException) -> bool:  # noqa: ARG002  # for tasks
        """Tell whether the task reschedules itself for an error: its try is still running."""
        return False

    @contextmanager
    def pushed(self) -> Iterator[Generator[Finished]]:
        """Push what is read while the records are finished; write down how it ends."""
        # The source is closed, which may take long, when the end is written.
        with ExitStack() as opened, self.reported():
            rows, mapper = opened.enter_context(self.intake())
            budget = opened.enter_context(self.hook.budget(self.target, self.client))
            push = Push(
                rows,
                mapper=mapper,
                ledger=self.ledger,
                sender=self.client,
                settings=self.settings,
                stopping=self.stopping,
                budget=budget,
                watch=Progress(self.report).tell,
                interrupts=self.interrupts,
            )
            yield self.report.counted(push)


def message_of(error: BaseException) -> str:
    """Return why a run ended as it did; of another's exception only its kind, whose text may quote a row."""
    if isinstance(error, ContactsError):
        return str(error)
    if isinstance(error, GeneratorExit):
        return "its outcomes were read no further, which stops a push"
    kind = type(error)
    return f"ended by {kind.__module__}.{kind.__qualname__}; the task's log says where"
