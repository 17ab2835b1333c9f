"""Operators: templates are checked, records handed over, outcomes counted, and the task ends as they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import BaseOperator, XComArg

from airflow_provider_contacts.base_operator import ContactsOperator

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_contacts.sources import RowSource

__all__ = [
    "ContactsOperator",
    "PushContactsOperator",
    "ReplayContactsOperator",
    "SettleContactsOperator",
    "SqlToContactsOperator",
]

HIDDEN = "(records)"
"""What stands for the records wherever Airflow stores or shows an operator's fields."""


class HiddenRecords:
    """Records in a mapped task's fixed parameters, which Airflow writes into the serialized DAG.

    :param records: a literal list or DataFrame.
    """

    def __init__(self, records: Any) -> None:
        self.records = records

    def __repr__(self) -> str:
        """Return the word that stands for the records."""
        return HIDDEN


class PushContactsOperator(ContactsOperator):
    """Push records of an upstream task into a vendor, and record what became of each.

    :param records: a list of mappings, an upstream task's output (also a mapped one's: lists in it flatten once), or
        a pandas DataFrame. Contents are data: never rendered, never among the fields that the UI shows. Literal lists
        in ``expand(records=[…])`` are the exception, since Airflow stores what a task is expanded over with the DAG;
        expand over an upstream's output instead.
    """

    template_fields: Sequence[str] = ("records", *ContactsOperator.template_fields)

    def __init__(self, *, records: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(records, list | tuple) and any(isinstance(one, XComArg) for one in records):
            raise ValueError("records is a list of upstream outputs: give one output, or a.output.concat(b.output)")
        self._records = records.records if isinstance(records, HiddenRecords) else records
        # Assigned by its name too, as Airflow wants it of a template field.
        self.records = self._records

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return a mapped task without its mapped parameters; see Airflow."""
        if "records" in kwargs and not isinstance(kwargs["records"], XComArg):
            kwargs["records"] = HiddenRecords(kwargs["records"])
        return super().partial(**kwargs)

    @property
    def records(self) -> Any:
        """The upstream output before it is read, else a word that stands for the records."""
        return self._records if isinstance(self._records, XComArg) else HIDDEN

    @records.setter
    def records(self, value: Any) -> None:
        # Rendering hands back what the getter showed: the word must not replace what it stands for.
        if not (isinstance(value, str) and value == HIDDEN):
            self._records = value

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the records."""
        from airflow_provider_contacts.sources import rows_of_records

        return rows_of_records(self._records)


class SqlToContactsOperator(ContactsOperator):
    """Push the rows of a query into a vendor, streamed, and record what became of each.

    The query must give the same rows to every try of a run: bind its bounds to the run's dates. The order of rows does
    not matter.

    :param sql: one statement, or the path of a ``.sql`` file.
    :param sql_conn_id: any Airflow SQL connection.
    :param parameters: bind values in the paramstyle of the connection's driver.
    :param chunk_size: rows fetched at once.
    :param sync_key: to be given, and may be ``None``, see :class:`ContactsOperator`: without a key, a row is another
        record as soon as any of its columns changes.
    """

    template_fields: Sequence[str] = ("sql", "sql_conn_id", "parameters", *ContactsOperator.template_fields)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json", "destination": "json"}

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        sync_key: str | Sequence[str] | None,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        chunk_size: int = 5000,
        **kwargs: Any,
    ) -> None:
        super().__init__(sync_key=sync_key, **kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.chunk_size = chunk_size

    def rows(self) -> AbstractContextManager[RowSource]:
        """Run the query."""
        from airflow_provider_contacts.connections import sql_hook
        from airflow_provider_contacts.sources import rows_of_query

        return rows_of_query(sql_hook(self.sql_conn_id, "sql_conn_id"), self.sql, self.parameters, self.chunk_size)

    def source_conn_id(self) -> str | None:
        """Return the connection that is read."""
        return self.sql_conn_id


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
    :param kwargs: those of :class:`ContactsOperator`; ``sync_key``, ``field_map`` and ``unmapped`` are for ``sql``, and
        must be as in the push.
    """

    template_fields: Sequence[str] = (
        *("statuses", "error_codes", "since", "max_attempts", "sql", "sql_conn_id", "parameters"),
        *ContactsOperator.template_fields,
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = SqlToContactsOperator.template_fields_renderers

    def __init__(
        self,
        *,
        outcomes_conn_id: str,
        sync_id: str,
        statuses: Sequence[str] | str = ("failed", "rejected", "invalid"),
        error_codes: Sequence[str] | str | None = None,
        since: datetime | str | None = None,
        max_attempts: int | str | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        chunk_size: int = 5000,
        **kwargs: Any,
    ) -> None:
        super().__init__(outcomes_conn_id=outcomes_conn_id, sync_id=sync_id, **kwargs)
        self.statuses = statuses
        self.error_codes = error_codes
        self.since = since
        self.max_attempts = max_attempts
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.chunk_size = chunk_size

    def execute(self, context: Context) -> dict[str, Any]:
        """Send again, and return the summary."""
        from airflow_provider_contacts.execution import StopSign
        from airflow_provider_contacts.replay import run_replay
        from airflow_provider_contacts.replay_parameters import replay_plan

        self._stop = StopSign()
        filters = {name: getattr(self, name) for name in ("statuses", "error_codes", "since", "max_attempts")}
        return run_replay(replay_plan(self._plan(), sql=self.sql, filters=filters), context, self._stop)

    def rows(self) -> AbstractContextManager[RowSource]:
        """Run the query."""
        from airflow_provider_contacts.connections import sql_hook
        from airflow_provider_contacts.sources import rows_of_query

        hook = sql_hook(self.sql_conn_id or "", "sql_conn_id")
        return rows_of_query(hook, self.sql or "", self.parameters, self.chunk_size)

    def source_conn_id(self) -> str | None:
        """Return the connection that is read, if it is another one."""
        return self.sql_conn_id or None


class SettleContactsOperator(BaseOperator):
    """Write a person's verdict on named records that may or may not exist: they do, or they do not.

    Only ``unknown`` rows change, and rows left ``sending`` for an hour. Every other named record is counted in the
    summary, and fails the task without a retry, unless it has the same verdict already. Needs no vendor connection.

    :param sync_id: whose records, as the summary of the push says it.
    :param records: for ``succeeded`` a mapping of ``record_identifier`` to the vendor's id of the contact, for
        ``failed`` a list of identifiers; JSON text of either, as a template leaves it, or an upstream task's output.
        They are not among the fields that the UI shows.
    :param verdict: ``"succeeded"``: they exist, and are never sent again; ``"failed"``: they do not, and the next run
        or a replay sends them.
    :param settled_by: who says so; written into the rows, with the time.
    :param outcomes_conn_id: SQL connection with the outcome table.
    :param outcomes_table: its name, ``schema.table`` allowed.
    :param create_tables: add columns that a table of an earlier version lacks, else the error prints the DDL.
    :param store_payload: as in the push: ``"all"`` keeps the payload of what exists.
    """

    template_fields: Sequence[str] = (
        *("sync_id", "records", "verdict", "settled_by"),
        *("outcomes_conn_id", "outcomes_table"),
    )
    ui_color = ContactsOperator.ui_color

    def __init__(
        self,
        *,
        sync_id: str,
        records: Any,
        verdict: Literal["succeeded", "failed"] | str,  # noqa: PYI051  # or a template
        settled_by: str,
        outcomes_conn_id: str,
        outcomes_table: str = "contact_outcomes",
        create_tables: bool = True,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sync_id = sync_id
        self._records = records
        self.records = records
        self._rendered = False
        self.verdict = verdict
        self.settled_by = settled_by
        self.outcomes_conn_id = outcomes_conn_id
        self.outcomes_table = outcomes_table
        self.create_tables = create_tables
        self.store_payload = store_payload

    @property
    def records(self) -> Any:
        """The template or the upstream output, then a word that stands for the records."""
        return self._records if is_template(self._records) and not self._rendered else HIDDEN

    @records.setter
    def records(self, value: Any) -> None:
        # Rendering hands back what the getter showed.
        if isinstance(value, str) and value == HIDDEN:
            return
        self._rendered = True
        self._records = value

    def execute(self, context: Context) -> dict[str, Any]:
        """Settle, and return the summary."""
        from airflow_provider_contacts.settle import run_settle
        from airflow_provider_contacts.settle_parameters import SettlePlan

        names = ("sync_id", "verdict", "settled_by", "outcomes_conn_id", "outcomes_table", "create_tables")
        given = {name: getattr(self, name) for name in (*names, "store_payload")}
        return run_settle(SettlePlan(**given, records=self._records), context)


def is_template(value: Any) -> bool:
    """Tell whether a value is text for Jinja, an upstream output, or a container of such."""
    if isinstance(value, Mapping):
        return any(map(is_template, value.values()))
    if isinstance(value, list | tuple):
        return any(map(is_template, value))
    return isinstance(value, XComArg) or (isinstance(value, str) and ("{{" in value or "{%" in value))
