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
from airflow_provider_contacts.task.query_operator import QueryOperator

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
    """Push records of an upstream task into a vendor, and record what became of each.

    :class:`ContactsOperator` describes the other parameters.

    :param records: a list of mappings, an upstream task's output (also a mapped one's: lists in it flatten once), or
        a pandas DataFrame; ``None`` is no records. Contents are data: they are never rendered, and neither the UI nor
        the stored DAG shows them.
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
    """Push the rows of files into a vendor, streamed, and record what became of each.

    The files must be the same for every try of a run: name them by the run's dates. :class:`ContactsOperator` describes
    the other parameters.

    :param path: a file of any storage that Airflow knows, or a pattern with ``*``, ``**``, ``?`` and ``[]``; files are
        read in the order of their paths. In a pattern, what begins with ``_`` or ``.`` is left out.
    :param path_conn_id: connection of the storage.
    :param file_format: ``"csv"``, ``"ndjson"`` or ``"parquet"``; ``None``: the suffix tells it, ``.csv``,
        ``.ndjson`` or ``.jsonl``, ``.parquet``. A further ``.gz`` is decompressed.
    :param encoding: of CSV and NDJSON.
    :param delimiter: of CSV.
    :param quotechar: of CSV.
    :param sync_key: as there, but to be given. Without a key (``None``) a row is another record as soon as any of its
        columns changes.
    """

    template_fields: Sequence[str] = ("path", "path_conn_id", *ContactsOperator.template_fields)

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
