"""The operator that sends again what stands undelivered in the outcome table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from airflow_provider_contacts.task.base_operator import ContactsOperator, is_template, said_of

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context, XComArg

    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.airflow_parameters import TaskParameters
    from airflow_provider_contacts.task.parameters import Reader
    from airflow_provider_contacts.task.replay_parameters import ReplayPlan


class ReplayContactsOperator(ContactsOperator):
    """Send again what stands undelivered in the outcome table, as far as a filter names it.

    The rows keep their ``sync_id`` and identifier, and go on counting ``attempts``. What is delivered is never sent
    again, and what may exist already only where ``statuses`` and ``on_unknown`` both say so. The payloads are those in
    the table, checked anew; or the records of a query, of which those are sent that the filter names by their key.

    :param outcomes_conn_id: SQL connection with the outcome table; required.
    :param sync_id: whose records, as the summary of the push says it; required.
    :param statuses: some of ``failed``, ``rejected``, ``invalid`` and ``unknown``; the last one needs an ``on_unknown``
        other than ``"hold"``.
    :param error_codes: of the rows; ``None``: any.
    :param since: aware datetime or ISO text with its offset: rows whose outcome was written earlier are left alone.
    :param max_attempts: rows that so many requests have carried are left alone.
    :param sql: one statement, or the path of a ``.sql`` file; ``None``: the payloads come from the outcome table.
    :param sql_conn_id: any Airflow SQL connection.
    :param parameters: bind values in the paramstyle of the connection's driver.
    :param chunk_size: rows fetched at once.
    :param contacts_conn_id: connection of the vendor; its type chooses the vendor.
    :param destination: where in the vendor's account the contacts go, over the keys in the connection's extra.
    :param sync_key: column or columns of ``sql`` that identify a record; ``sync_key``, ``field_map`` and ``unmapped``
        must be as in the push.
    :param field_map: source column to vendor field, applied first.
    :param unmapped: ``"error"`` or ``"ignore"``: what a column is that means nothing to the vendor.
    :param outcomes_table: name of the table, ``schema.table`` allowed.
    :param create_tables: create what is missing, else the error prints the DDL.
    :param on_unknown: what to do with a record that may already exist: ``"hold"``, ``"reconcile"`` or ``"resend"``.
    :param max_rejected: rejected and invalid records tolerated, a count or a fraction below 1.
    :param max_unknown: records that became unknown in this run tolerated.
    :param batch_size: records a request; default and upper bound: the vendor's.
    :param max_in_flight: requests at the same time; default: the vendor's.
    :param requests_per_second: sustained rate; default: the vendor's.
    :param request_attempts: requests for a record within one try.
    :param request_timeout: seconds for a request and its answer; ``None``: the connection's, else 60.
    :param max_wait: seconds that a ``Retry-After`` is waited for; a longer one reschedules the task.
    :param store_payload: payloads that the table keeps: ``"undelivered"``, ``"all"`` or ``"never"``.
    :param xcom_outcomes: outcomes that the summary lists: ``"auto"``, ``"all"``, ``"undelivered"`` or ``"none"``.
    :param plan_only: check everything and count; send and remember nothing.
    :param plan_rows: with ``plan_only``, the first so many keys of each kind are listed in the summary's ``plan``.
    :param plan_identifiers: list them as a ``"digest"``, as logs show it, or in ``"clear"``.
    :param kwargs: Airflow's own parameters of a task.
    """

    template_fields: Sequence[str] = (
        *("statuses", "error_codes", "since", "max_attempts", "sql", "sql_conn_id", "parameters"),
        *ContactsOperator.template_fields,
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json", "destination": "json"}

    def __init__(
        self,
        *,
        outcomes_conn_id: str | XComArg,
        sync_id: str | XComArg,
        statuses: Sequence[str] | str | XComArg = ("failed", "rejected", "invalid"),
        error_codes: Sequence[str] | str | XComArg | None = None,
        since: datetime | str | XComArg | None = None,
        max_attempts: int | str | XComArg | None = None,
        sql: str | XComArg | None = None,
        sql_conn_id: str | XComArg | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | XComArg | None = None,
        chunk_size: int = 5000,
        contacts_conn_id: str | XComArg,
        destination: Mapping[str, Any] | str | XComArg | None = None,
        sync_key: str | Sequence[str] | None = None,
        field_map: Mapping[str, str] | None = None,
        unmapped: Literal["error", "ignore"] = "error",
        outcomes_table: str | XComArg = "contact_outcomes",
        create_tables: bool = True,
        on_unknown: Literal["hold", "reconcile", "resend"] = "hold",
        max_rejected: float | str | XComArg = 0,
        max_unknown: float | str | XComArg = 0,
        batch_size: int | None = None,
        max_in_flight: int | None = None,
        requests_per_second: float | None = None,
        request_attempts: int = 5,
        request_timeout: float | None = None,
        max_wait: float = 60.0,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
        xcom_outcomes: Literal["auto", "all", "undelivered", "none"] = "auto",
        plan_only: bool | str | XComArg = False,
        plan_rows: int = 0,
        plan_identifiers: Literal["digest", "clear"] = "digest",
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(
            contacts_conn_id=contacts_conn_id,
            destination=destination,
            sync_key=sync_key,
            field_map=field_map,
            unmapped=unmapped,
            outcomes_conn_id=outcomes_conn_id,
            outcomes_table=outcomes_table,
            create_tables=create_tables,
            sync_id=sync_id,
            on_unknown=on_unknown,
            max_rejected=max_rejected,
            max_unknown=max_unknown,
            batch_size=batch_size,
            max_in_flight=max_in_flight,
            requests_per_second=requests_per_second,
            request_attempts=request_attempts,
            request_timeout=request_timeout,
            max_wait=max_wait,
            store_payload=store_payload,
            xcom_outcomes=xcom_outcomes,
            plan_only=plan_only,
            plan_rows=plan_rows,
            plan_identifiers=plan_identifiers,
            **kwargs,
        )
        self.statuses = statuses
        self.error_codes = error_codes
        self.since = since
        self.max_attempts = max_attempts
        self.sql: Any = sql
        self.sql_conn_id: Any = sql_conn_id
        self.parameters: Any = parameters
        self.chunk_size = chunk_size
        self._check_literals()

    @classmethod
    def _readers(cls) -> Mapping[str, Reader]:
        from airflow_provider_contacts.task.replay_parameters import REPLAY_READERS

        return REPLAY_READERS

    def _check_literals(self) -> None:
        super()._check_literals()
        if any(is_template(value) for value in (self.statuses, self.sql, self.sql_conn_id)):
            return
        from airflow_provider_contacts.task.replay_parameters import check_together

        with said_of(self.task_id):
            check_together(self._replay_plan())

    def _replay_plan(self) -> ReplayPlan:
        from airflow_provider_contacts.task.replay_parameters import replay_plan

        filters = {name: getattr(self, name) for name in ("statuses", "error_codes", "since", "max_attempts")}
        return replay_plan(self._plan(), sql=self.sql, filters=filters)

    def execute(self, context: Context) -> dict[str, Any]:
        """Send again, and return the summary."""
        from airflow_provider_contacts.task.replay import run_replay
        from airflow_provider_contacts.task.stop_sign import StopSign

        self._stop = StopSign()
        return run_replay(self._replay_plan(), context, self._stop)

    def rows(self) -> AbstractContextManager[RowSource]:
        """Run the query."""
        from airflow_provider_contacts.sources import rows_of_query
        from airflow_provider_contacts.task.sql_connections import sql_hook

        hook = sql_hook(self.sql_conn_id or "", "sql_conn_id")
        return rows_of_query(
            hook, self.sql or "", self.parameters, self.chunk_size, stopping=self.stopping, conn_id=self.sql_conn_id
        )

    def source_conn_id(self) -> str | None:
        """Return the connection that is read, if it is another one."""
        return self.sql_conn_id or None
