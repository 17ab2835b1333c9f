"""The operators that push: records of an upstream task, and rows of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from airflow.sdk import XComArg

from airflow_provider_contacts.task.base_operator import ContactsOperator, QueryOperator
from airflow_provider_contacts.task.hidden_records import RecordsOperator

if TYPE_CHECKING:
    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.airflow_parameters import TaskParameters
    from airflow_provider_contacts.task.parameters import Parser


class PushContactsOperator(RecordsOperator, ContactsOperator):
    """Push records of an upstream task into a vendor, and record what became of each.

    :param records: a list of mappings, an upstream task's output (also a mapped one's: lists in it flatten once), or
        a pandas DataFrame; ``None`` is no records. Contents are data: they are never rendered, and neither the UI nor
        the stored DAG shows them.
    :param contacts_conn_id: connection of the vendor; its type chooses the vendor.
    :param destination: where in the vendor's account the contacts go, over the keys in the connection's extra:
        Intermezzo ``organization_id``; Nedzo ``contact_list_id`` (optional); Dex none; Apptoto ``address_book_id`` or
        ``address_book``; Talkdesk ``record_list_id``.
    :param sync_key: column or columns that identify a record; ``None``: the digest of its payload does.
    :param field_map: source column to vendor field, applied first.
    :param unmapped: ``"error"`` or ``"ignore"``: what a column is that means nothing to the vendor.
    :param outcomes_conn_id: SQL connection (SQLite, PostgreSQL, MySQL or MariaDB) with the outcome table; ``None``:
        outcomes go to XCom alone.
    :param outcomes_table: name of the view that people read, ``schema.name`` allowed; its tables begin with it, too.
    :param create_tables: create what is missing, else the error prints the DDL.
    :param sync_id: what records are remembered under; default
        ``{dag_id}/{task_id}@{contacts_conn_id}[:{destination object}]``.
    :param on_unknown: what to do with a record that may already exist: ``"hold"``, ``"reconcile"`` or ``"resend"``.
    :param max_rejected: rejected and invalid records tolerated: a count, or a fraction below 1 of those planned that
        are neither skipped nor duplicate. What an earlier try of the run delivered counts as planned. If every run
        reads the whole table, a count fits better: only new and bad rows are planned then.
    :param max_unknown: records that became unknown in this run tolerated. Any ``failed`` fails the task.
    :param batch_size: records a request; default and upper bound: the vendor's.
    :param max_in_flight: requests at the same time; default: the vendor's.
    :param requests_per_second: sustained rate; default: the vendor's.
    :param request_attempts: requests for a record within one try, as long as it is certain that none created it.
    :param request_timeout: seconds for a request and its answer, 600 at most; ``None``: the connection's, else 60.
    :param max_wait: seconds that a ``Retry-After`` is waited for; a longer one reschedules the task.
    :param store_payload: payloads that the table keeps: ``"undelivered"``, ``"all"`` or ``"never"`` (then no text of
        the vendor either).
    :param xcom_outcomes: outcomes that the summary lists: ``"auto"``, ``"all"``, ``"undelivered"`` or ``"none"``;
        ``auto`` is ``all`` without an outcome table (above 10,000 records ``undelivered``), else ``none``.
    :param plan_only: check everything and count; send and remember nothing.
    :param plan_rows: with ``plan_only``, the first so many keys of each kind are listed in the summary's ``plan``.
    :param plan_identifiers: list them as a ``"digest"``, as logs show it, or in ``"clear"``.
    :param kwargs: Airflow's own parameters of a task.
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
        **kwargs: Unpack[TaskParameters],
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
    matter. ``PushContactsOperator`` says more of the shared parameters.

    :param sql: one statement, or the path of a ``.sql`` file.
    :param sql_conn_id: any Airflow SQL connection.
    :param parameters: bind values in the paramstyle of the connection's driver.
    :param chunk_size: rows fetched at once.
    :param contacts_conn_id: connection of the vendor; its type chooses the vendor.
    :param destination: where in the vendor's account the contacts go, over the keys in the connection's extra.
    :param sync_key: column or columns that identify a record. To be given, and may be ``None``: without a key, a row is
        another record as soon as any of its columns changes.
    :param field_map: source column to vendor field, applied first.
    :param unmapped: ``"error"`` or ``"ignore"``: what a column is that means nothing to the vendor.
    :param outcomes_conn_id: SQL connection with the outcome table; ``None``: outcomes go to XCom alone.
    :param outcomes_table: name of the table, ``schema.table`` allowed.
    :param create_tables: create what is missing, else the error prints the DDL.
    :param sync_id: what records are remembered under; ``None``: a text of DAG, task, connection and destination.
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
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.parameters import PUSH_PARSERS, SQL_PARSERS

        return {**PUSH_PARSERS, **SQL_PARSERS}
