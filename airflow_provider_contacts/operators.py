"""The operators: they push, send undelivered records again, and work on the outcome table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import XComArg

from airflow_provider_contacts.table_operators import (
    ExportOutcomesOperator,
    ForgetContactsOperator,
    PruneOutcomesOperator,
    SettleContactsOperator,
)
from airflow_provider_contacts.task.base_operator import ContactsOperator, naming_task
from airflow_provider_contacts.task.hidden_fields import HidingOperator

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.parameters import Parser

__all__ = [
    "ContactsOperator",
    "ExportOutcomesOperator",
    "FilesToContactsOperator",
    "ForgetContactsOperator",
    "PruneOutcomesOperator",
    "PushContactsOperator",
    "ReplayContactsOperator",
    "SettleContactsOperator",
    "SqlToContactsOperator",
]


class PushContactsOperator(HidingOperator, ContactsOperator):
    """Push the records of an upstream task, a list or a data frame into a vendor.

    :class:`ContactsOperator` describes the other parameters.

    :param records: an upstream output (of a mapped task, too: lists in it are flattened once), a list of mappings or of
        rows with names, a pandas or Polars data frame, or an Arrow table. ``None``: no records. Neither the UI nor the
        stored DAG shows them, and templates in them are not rendered.
    """

    template_fields: Sequence[str] = ("records", *ContactsOperator.template_fields)
    hidden: ClassVar[Sequence[str]] = ("records",)
    rendered: ClassVar[bool] = False

    def __init__(self, *, records: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(records, list | tuple) and any(isinstance(one, XComArg) for one in records):
            raise ValueError("records is a list of upstream outputs: give one output, or a.output.concat(b.output)")
        self._keep(locals())

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the records."""
        from airflow_provider_contacts.sources import rows_of_records

        return rows_of_records(self.given("records"))


class QueryOperator(ContactsOperator):
    """The base of the operators that send the rows of a query."""

    template_fields: Sequence[str] = ("sql", "sql_conn_id", "parameters", *ContactsOperator.template_fields)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json", "destination": "json"}
    sql: Any
    sql_conn_id: Any
    parameters: Any
    chunk_size: int

    def __init__(
        self,
        *,
        sql: str | XComArg | None = None,
        sql_conn_id: str | XComArg | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | XComArg | None = None,
        chunk_size: int = 5000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.parameters import PUSH_PARSERS, SQL_PARSERS

        return {**PUSH_PARSERS, **SQL_PARSERS}

    def rows(self) -> AbstractContextManager[RowSource]:
        """Run the query."""
        from airflow_provider_contacts.sources import rows_of_query
        from airflow_provider_contacts.task.connections import sql_hook

        conn_id = self.sql_conn_id or ""
        hook = sql_hook(conn_id, "sql_conn_id")
        return rows_of_query(hook, self.sql, self.parameters, self.chunk_size, stopping=self.stopping, conn_id=conn_id)


class SqlToContactsOperator(QueryOperator):
    """Push the rows of a query into a vendor, in the memory of one chunk where the driver can.

    The query must give the same rows to every try of a run: bind it to the run's dates. The order of rows does not
    matter. :class:`ContactsOperator` describes the other parameters.

    :param sql: one statement that returns rows, or the path of a ``.sql`` file. Each column has a name of its own.
    :param sql_conn_id: any SQL connection of Airflow.
    :param sync_key: the column, or the list of columns, that identifies a row. ``None`` must be written out: then a
        row is another record as soon as any of its columns changes.
    :param parameters: bind values, a mapping or a list, in the paramstyle of the connection's driver.
    :param chunk_size: rows fetched at once.
    """

    requires_key = True

    def __init__(
        self,
        *,
        sql: str | XComArg,
        sql_conn_id: str | XComArg,
        sync_key: str | Sequence[str] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(sql=sql, sql_conn_id=sql_conn_id, sync_key=sync_key, **kwargs)


class FilesToContactsOperator(ContactsOperator):
    """Push the rows of CSV, NDJSON or Parquet files into a vendor, as they are read.

    The files must be the same for every try of a run: name them by the run's dates. They are read one after the other,
    in the order of their paths. :class:`ContactsOperator` describes the other parameters.

    :param path: a file of any storage that Airflow knows (a local path, ``s3://``, ``gs://``, ``abfs://`` …), or a
        pattern with ``*``, ``**``, ``?`` and ``[]``. A pattern leaves out names that begin with ``_`` or ``.``.
    :param path_conn_id: connection of the storage. ``None``: the credentials that its provider finds by itself.
    :param sync_key: the column, or the list of columns, that identifies a row. ``None`` must be written out: then a
        row is another record as soon as any of its columns changes.
    :param file_format: ``"csv"``, ``"ndjson"`` or ``"parquet"``. ``None``: as the suffix says (``.csv``, ``.ndjson``,
        ``.jsonl``, ``.parquet``). A ``.gz`` behind ``.csv``, ``.ndjson`` or ``.jsonl`` is decompressed.
    :param encoding: of CSV and NDJSON: any of Python's encodings of text.
    :param delimiter: of CSV: one character.
    :param quotechar: of CSV: one character.
    """

    template_fields: Sequence[str] = ("path", "path_conn_id", *ContactsOperator.template_fields)
    requires_key = True

    def __init__(
        self,
        *,
        path: str | XComArg,
        path_conn_id: str | XComArg | None = None,
        file_format: Literal["csv", "ndjson", "parquet"] | None = None,
        encoding: str = "utf-8",
        delimiter: str = ",",
        quotechar: str = '"',
        sync_key: str | Sequence[str] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(sync_key=sync_key, **kwargs)
        self._keep(locals())

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.parameters import FILES_PARSERS, PUSH_PARSERS

        return {**PUSH_PARSERS, **FILES_PARSERS}

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the files."""
        from airflow_provider_contacts.task.object_storage import files_at

        return files_at(self.parsed(), self.stopping)


class ReplayContactsOperator(QueryOperator):
    """Send again what the outcome table holds as undelivered, as far as a filter selects it, without the source.

    The rows keep their ``sync_id`` and identifier, and go on counting ``attempts``. What is delivered is never sent
    again. The payloads are those in the table, checked anew, or the rows of a query.
    :class:`ContactsOperator` describes the other parameters.

    :param sync_id: whose records: the ``sync_id`` in the summary of the push.
    :param outcomes_conn_id: connection of the database with the outcome table.
    :param statuses: some of ``failed``, ``rejected``, ``invalid`` and ``unknown``. ``unknown`` needs
        ``on_unknown="reconcile"`` or ``"resend"``, and includes what was left ``sending`` for an hour.
    :param error_codes: only records with one of these codes. ``None``: any code.
    :param since: only records whose outcome was written at this moment or later: a datetime with its UTC offset, or its
        ISO text. ``None``: of any time.
    :param max_attempts: only records that fewer requests have carried, over all runs. ``None``: any number.
    :param sql: a query that gives the payloads, in place of the table. Only its rows with a selected key are sent.
    :param sql_conn_id: connection of ``sql``: give both or neither.
    :param parameters: bind values of ``sql``, a mapping or a list.
    :param chunk_size: rows of ``sql`` fetched at once.
    :param sync_key: of ``sql``, as in the push; so are ``field_map`` and ``unmapped``. Without ``sql`` they are not
        given.
    """

    template_fields: Sequence[str] = (
        *("statuses", "error_codes", "since", "max_attempts"),
        *QueryOperator.template_fields,
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
        **kwargs: Any,
    ) -> None:
        super().__init__(outcomes_conn_id=outcomes_conn_id, sync_id=sync_id, **kwargs)
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
