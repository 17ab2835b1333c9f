"""The operators: they push, send undelivered records again, and settle records in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import XComArg

from airflow_provider_contacts.task.base_operator import ContactsOperator, QueryOperator, naming_task
from airflow_provider_contacts.task.hidden_records import RecordsOperator

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.parameters import Parser

__all__ = [
    "ContactsOperator",
    "PushContactsOperator",
    "ReplayContactsOperator",
    "SettleContactsOperator",
    "SqlToContactsOperator",
]


class PushContactsOperator(RecordsOperator, ContactsOperator):
    """Push records of an upstream task into a vendor, and record what became of each.

    :class:`ContactsOperator` describes the other parameters.

    :param records: a list of mappings, an upstream task's output (also a mapped one's: lists in it flatten once), or
        a pandas DataFrame; ``None`` is no records. Contents are data: they are never rendered, and neither the UI nor
        the stored DAG shows them.
    """

    template_fields: Sequence[str] = ("records", *ContactsOperator.template_fields)
    rendered: ClassVar[bool] = False

    def __init__(
        self,
        *,
        records: Any,
        contacts_conn_id: str | XComArg,
        destination: Mapping[str, Any] | str | XComArg | None = None,
        sync_key: str | Sequence[str] | None = None,
        field_map: Mapping[str, str] | None = None,
        unmapped: Literal["error", "ignore"] = "error",
        outcomes_conn_id: str | XComArg | None = None,
        outcomes_table: str | XComArg = "contact_outcomes",
        create_tables: bool = True,
        sync_id: str | XComArg | None = None,
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(records, list | tuple) and any(isinstance(one, XComArg) for one in records):
            raise ValueError("records is a list of upstream outputs: give one output, or a.output.concat(b.output)")
        self._keep(locals())

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the records."""
        from airflow_provider_contacts.sources import rows_of_records

        return rows_of_records(self.given_records())


class SqlToContactsOperator(QueryOperator):
    """Push the rows of a query into a vendor, streamed, and record what became of each.

    The query must give the same rows to every try of a run: bind its bounds to the run's dates. Their order does not
    matter. :class:`ContactsOperator` describes the other parameters.

    :param sql: one statement, or the path of a ``.sql`` file.
    :param sql_conn_id: any Airflow SQL connection.
    :param parameters: bind values in the paramstyle of the connection's driver.
    :param chunk_size: rows fetched at once.
    :param sync_key: as there, but to be given. Without a key (``None``) a row is another record as soon as any of its
        columns changes.
    """

    template_fields: Sequence[str] = ("sql", "sql_conn_id", "parameters", *ContactsOperator.template_fields)

    def __init__(
        self,
        *,
        sql: str | XComArg,
        sql_conn_id: str | XComArg,
        sync_key: str | Sequence[str] | None,
        parameters: Mapping[str, Any] | Sequence[Any] | XComArg | None = None,
        chunk_size: int = 5000,
        contacts_conn_id: str | XComArg,
        destination: Mapping[str, Any] | str | XComArg | None = None,
        field_map: Mapping[str, str] | None = None,
        unmapped: Literal["error", "ignore"] = "error",
        outcomes_conn_id: str | XComArg | None = None,
        outcomes_table: str | XComArg = "contact_outcomes",
        create_tables: bool = True,
        sync_id: str | XComArg | None = None,
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.parameters import PUSH_PARSERS, SQL_PARSERS

        return {**PUSH_PARSERS, **SQL_PARSERS}


class ReplayContactsOperator(QueryOperator):
    """Send again the undelivered records of the outcome table that a filter selects.

    The rows keep their ``sync_id`` and identifier, and go on counting ``attempts``. What is delivered is never sent
    again, and what may exist already only if ``statuses`` and ``on_unknown`` both say so. The payloads are those in
    the table, checked anew; or the records of a query, of which those with a selected key are sent.
    :class:`ContactsOperator` describes the other parameters.

    :param outcomes_conn_id: SQL connection with the outcome table; required.
    :param sync_id: the ``sync_id`` in the summary of the push; required.
    :param statuses: some of ``failed``, ``rejected``, ``invalid`` and ``unknown``; the last one needs an ``on_unknown``
        other than ``"hold"``.
    :param error_codes: of the rows; ``None``: any.
    :param since: aware datetime or ISO text with its offset; rows whose outcome is older are left alone.
    :param max_attempts: rows that so many requests have carried are left alone.
    :param sql: as for :class:`SqlToContactsOperator`, and so ``sql_conn_id``, ``parameters`` and ``chunk_size``;
        ``None``: the payloads come from the outcome table.
    :param sync_key: of ``sql``; like ``field_map`` and ``unmapped``, it must be as in the push.
    """

    template_fields: Sequence[str] = (
        *("statuses", "error_codes", "since", "max_attempts", "sql", "sql_conn_id", "parameters"),
        *ContactsOperator.template_fields,
    )

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        parsed = self._keep(locals())
        if {"statuses", "sql", "sql_conn_id"} <= parsed.keys():
            from airflow_provider_contacts.task.replay_parameters import check_together

            with naming_task(self.task_id):
                check_together(parsed)

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.replay_parameters import REPLAY_PARSERS

        return REPLAY_PARSERS

    def execute(self, context: Context) -> dict[str, Any]:
        """Send again, and return the summary."""
        from airflow_provider_contacts.task.execution import run_task
        from airflow_provider_contacts.task.replay import ReplayExecution

        return run_task(ReplayExecution, self, context)


class SettleContactsOperator(RecordsOperator):
    """Write a person's verdict on named records that may or may not exist.

    Only ``unknown`` rows change, and rows left ``sending`` for an hour. Every other named record is counted in the
    summary, and fails the task without a retry, unless it has the same verdict already. Needs no vendor connection.

    :param sync_id: the ``sync_id`` in the summary of the push.
    :param records: for ``succeeded`` a mapping of ``record_identifier`` to the vendor's id of the contact, for
        ``failed`` a list of identifiers; JSON text of either, as a template leaves it, or an upstream task's output. An
        identifier's digest, the twelve digits in logs, does as well. Nothing given is no error. The UI and the stored
        DAG do not show them.
    :param verdict: ``"succeeded"``: they exist, and are never sent again; ``"failed"``: they do not exist, and the
        next run or a replay sends them.
    :param settled_by: the person who settles; written into the rows, with the time.
    :param outcomes_conn_id: SQL connection with the outcome table.
    :param outcomes_table: its name, ``schema.table`` allowed.
    :param create_tables: add columns that a table of an earlier version lacks, else the error prints the DDL.
    :param store_payload: as in the push: ``"all"`` keeps the payload of what exists.
    """

    template_fields: Sequence[str] = (
        *("sync_id", "records", "verdict", "settled_by"),
        *("outcomes_conn_id", "outcomes_table"),
    )
    rendered: ClassVar[bool] = True
    ui_color = ContactsOperator.ui_color

    def __init__(
        self,
        *,
        sync_id: str | XComArg,
        records: Any,
        verdict: Literal["succeeded", "failed"] | str | XComArg,  # noqa: PYI051  # or a template
        settled_by: str | XComArg,
        outcomes_conn_id: str | XComArg,
        outcomes_table: str | XComArg = "contact_outcomes",
        create_tables: bool = True,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        # Airflow does not look for them behind the word.
        XComArg.apply_upstream_relationship(self, self.given_records())

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.settle import SETTLE_PARSERS

        return SETTLE_PARSERS

    def execute(self, context: Context) -> dict[str, Any]:
        """Settle, and return the summary."""
        from airflow_provider_contacts.task.settle import run_settle

        return run_settle(self, context)
