"""Operators: templates are checked, records handed over, outcomes counted, and the task ends as they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import BaseOperator, XComArg

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.parameters import TaskPlan
    from airflow_provider_contacts.sources import RowSource

HIDDEN = "(records)"
"""What stands for the records wherever Airflow stores or shows an operator's fields."""


class ContactsOperator(BaseOperator):
    """What the two pushing operators share; see them for their sources.

    :param contacts_conn_id: connection of the vendor; its type chooses the vendor.
    :param destination: where in the vendor's account the contacts go, over the keys in the connection's extra:
        Intermezzo ``organization_id``; Nedzo ``contact_list_id`` (optional); Dex none; Apptoto ``address_book_id`` or
        ``address_book``; Talkdesk ``record_list_id``.
    :param sync_key: source column or columns that identify a record; ``None``: the digest of its payload does.
    :param field_map: source column to vendor field, applied first.
    :param unmapped: ``"error"`` or ``"ignore"``: what a column is that means nothing to the vendor.
    :param outcomes_conn_id: SQL connection (SQLite, PostgreSQL, MySQL or MariaDB) with the outcome table; ``None``:
        outcomes go to XCom alone.
    :param outcomes_table: name of the table, ``schema.table`` allowed; the runs table has ``_runs`` behind it.
    :param create_tables: create what is missing, else the error prints the DDL.
    :param sync_id: what records are remembered under; default
        ``{dag_id}.{task_id}@{contacts_conn_id}[:{destination object}]``.
    :param on_unknown: ``"hold"``, ``"reconcile"`` or ``"resend"``: what to do with a record that may already exist.
    :param max_rejected: rejected and invalid records tolerated: a count, or a fraction below 1 of those planned that
        are neither skipped nor duplicate; what an earlier try of the same run delivered belongs to those planned. Where
        every run reads the whole table, only new rows are planned besides the bad ones: a count fits better there.
    :param max_unknown: records that became unknown in this run tolerated. Any ``failed`` fails the task.
    :param batch_size: records a request; default and upper bound: the vendor's.
    :param max_in_flight: requests at the same time; default: the vendor's.
    :param requests_per_second: sustained rate; default: the vendor's.
    :param request_attempts: requests for a record within one try, as long as it is certain that none created it.
    :param request_timeout: seconds for a request and its answer, 600 at most. Where it is left at its default, the
        connection's ``request_timeout`` counts.
    :param max_wait: seconds that a vendor's ``Retry-After`` is waited for; a longer one reschedules the task.
    :param store_payload: which payloads the outcome table keeps: ``"undelivered"``, ``"all"`` or ``"never"`` (then no
        text of the vendor either).
    :param xcom_outcomes: which outcomes the summary lists: ``"auto"``, ``"all"``, ``"undelivered"`` or ``"none"``;
        ``auto`` is ``all`` without an outcome table (above 10,000 records ``undelivered``), else ``none``.
    :param plan_only: check everything and count; send and remember nothing.
    """

    template_fields: Sequence[str] = (
        "contacts_conn_id",
        "destination",
        "outcomes_conn_id",
        "outcomes_table",
        "sync_id",
        "max_rejected",
        "max_unknown",
        "plan_only",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"destination": "json"}
    ui_color = "#d8e8d0"

    def __init__(
        self,
        *,
        contacts_conn_id: str,
        destination: Mapping[str, Any] | str | None = None,
        sync_key: str | Sequence[str] | None = None,
        field_map: Mapping[str, str] | None = None,
        unmapped: Literal["error", "ignore"] = "error",
        outcomes_conn_id: str | None = None,
        outcomes_table: str = "contact_outcomes",
        create_tables: bool = True,
        sync_id: str | None = None,
        on_unknown: Literal["hold", "reconcile", "resend"] = "hold",
        max_rejected: float | str = 0,
        max_unknown: float | str = 0,
        batch_size: int | None = None,
        max_in_flight: int | None = None,
        requests_per_second: float | None = None,
        request_attempts: int = 5,
        request_timeout: float = 60.0,
        max_wait: float = 60.0,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
        xcom_outcomes: Literal["auto", "all", "undelivered", "none"] = "auto",
        plan_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contacts_conn_id = contacts_conn_id
        self.destination = destination
        self.sync_key = sync_key
        self.field_map = field_map
        self.unmapped = unmapped
        self.outcomes_conn_id = outcomes_conn_id
        self.outcomes_table = outcomes_table
        self.create_tables = create_tables
        self.sync_id = sync_id
        self.on_unknown = on_unknown
        self.max_rejected = max_rejected
        self.max_unknown = max_unknown
        self.batch_size = batch_size
        self.max_in_flight = max_in_flight
        self.requests_per_second = requests_per_second
        self.request_attempts = request_attempts
        self.request_timeout = request_timeout
        self.max_wait = max_wait
        self.store_payload = store_payload
        self.xcom_outcomes = xcom_outcomes
        self.plan_only = plan_only
        self._stop: Any = None

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the source."""
        raise NotImplementedError

    def source_conn_id(self) -> str | None:
        """Return the connection that is read, if it is one."""
        return None

    def execute(self, context: Context) -> dict[str, Any]:
        """Push, and return the summary."""
        from airflow_provider_contacts.execution import StopSign, run_task

        self._stop = StopSign()
        return run_task(self._plan(), context, self._stop)

    def on_kill(self) -> None:
        """Send nothing more; what is in flight gets its last three seconds."""
        if self._stop is not None:
            self._stop.set()

    def _plan(self) -> TaskPlan:
        from airflow_provider_contacts.core.options import PushOptions
        from airflow_provider_contacts.parameters import TaskPlan

        return TaskPlan(
            contacts_conn_id=self.contacts_conn_id,
            destination=self.destination,
            options=PushOptions(
                sync_key=self.sync_key,
                field_map=self.field_map,
                unmapped=self.unmapped,
                on_unknown=self.on_unknown,
                batch_size=self.batch_size,
                max_in_flight=self.max_in_flight,
                requests_per_second=self.requests_per_second,
                request_attempts=self.request_attempts,
                request_timeout=self.request_timeout,
                max_wait=self.max_wait,
            ),
            outcomes_conn_id=self.outcomes_conn_id,
            outcomes_table=self.outcomes_table,
            create_tables=self.create_tables,
            sync_id=self.sync_id,
            max_rejected=self.max_rejected,
            max_unknown=self.max_unknown,
            store_payload=self.store_payload,
            xcom_outcomes=self.xcom_outcomes,
            plan_only=self.plan_only,
            rows=self.rows,
            source_conn_id=self.source_conn_id(),
        )


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
