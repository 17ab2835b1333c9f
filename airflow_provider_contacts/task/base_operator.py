"""What the operators share: literals checked with the DAG; of those that send, parameters and one execution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from inspect import signature
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from airflow.sdk import BaseOperator, XComArg
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.airflow_parameters import TaskParameters
    from airflow_provider_contacts.task.parameters import Reader, TaskPlan


class WrongParameterError(ConfigError, AirflowFailException):
    """A parameter is wrong as it is written in the DAG file.

    Raised when the DAG is parsed. A mapped task is built when it runs: Airflow does not try that again.
    """


class LiteralsCheckedOperator(BaseOperator):
    """An operator whose literal parameters are checked when the DAG is parsed; templates wait until the task runs."""

    def __init__(self, **kwargs: Unpack[TaskParameters]) -> None:
        # Airflow's own error repeats the values, which may be records.
        strange = sorted(set(kwargs) - parameters_of(BaseOperator))
        if strange:
            nearest = "".join(did_you_mean(name, parameters_of(type(self))) for name in strange)
            raise TypeError(
                f"task {kwargs.get('task_id')!r}: {type(self).__name__} has no parameter {strange}{nearest}"
            )
        super().__init__(**kwargs)

    @classmethod
    def _readers(cls) -> Mapping[str, Reader]:
        """Return what reads each parameter."""
        raise NotImplementedError

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return a mapped task without its mapped parameters; see Airflow."""
        cls._check(kwargs, kwargs.get("task_id"))
        made = super().partial(**kwargs)
        parents = [kwargs.get("default_args"), *(getattr(made.kwargs[one], "default_args", None) for one in OWNERS)]
        for defaults in parents:
            cls._check(
                {name: value for name, value in (defaults or {}).items() if name not in kwargs}, made.kwargs["task_id"]
            )
        return made

    def _check_literals(self) -> None:
        """Check this task's own parameters; each operator calls it when all of them are set."""
        self._check({name: getattr(self, name) for name in self._readers()}, self.task_id)

    @classmethod
    def _check(cls, given: Mapping[str, Any], task_id: Any) -> None:
        readers = cls._readers()
        for name, value in given.items():
            if name not in readers or (name in cls.template_fields and is_template(value)):
                continue
            with said_of(task_id):
                readers[name](value, name)


OWNERS = ("task_group", "dag")


@cache
def parameters_of(operator: type[BaseOperator]) -> frozenset[str]:
    """Return the names of an operator's own parameters."""
    return frozenset(signature(operator.__init__).parameters) - {"self", "kwargs"}


@contextmanager
def said_of(task_id: Any) -> Iterator[None]:
    """Name the task in the error of a wrong parameter."""
    try:
        yield
    except ConfigError as error:
        raise WrongParameterError(f"task {task_id!r}: {error}") from None


def is_template(value: Any) -> bool:
    """Tell whether a value is text for Jinja, an upstream output or the like, or a container of such."""
    if isinstance(value, Mapping):
        return any(map(is_template, value.values()))
    if isinstance(value, list | tuple | set):
        return any(map(is_template, value))
    if isinstance(value, str):
        return any(sign in value for sign in ("{{", "{%", "{#"))
    # As Airflow tells what to resolve.
    return not isinstance(value, PathLike) and callable(getattr(value, "resolve", None))


class ContactsOperator(LiteralsCheckedOperator):
    """What the sending operators share; see ``operators`` for them and their sources.

    :param contacts_conn_id: connection of the vendor; its type chooses the vendor.
    :param destination: where in the vendor's account the contacts go, over the keys in the connection's extra:
        Intermezzo ``organization_id``; Nedzo ``contact_list_id`` (optional); Dex none; Apptoto ``address_book_id`` or
        ``address_book``; Talkdesk ``record_list_id``.
    :param sync_key: source column or columns that identify a record; ``None``: the digest of its payload does.
    :param field_map: source column to vendor field, applied first.
    :param unmapped: ``"error"`` or ``"ignore"``: what a column is that means nothing to the vendor.
    :param outcomes_conn_id: SQL connection (SQLite, PostgreSQL, MySQL or MariaDB) with the outcome table; ``None``:
        outcomes go to XCom alone.
    :param outcomes_table: name of the view that people read, ``schema.name`` allowed; its tables begin with it, too.
    :param create_tables: create what is missing, else the error prints the DDL.
    :param sync_id: what records are remembered under; default
        ``{dag_id}/{task_id}@{contacts_conn_id}[:{destination object}]``.
    :param on_unknown: ``"hold"``, ``"reconcile"`` or ``"resend"``: what to do with a record that may already exist.
    :param max_rejected: rejected and invalid records tolerated: a count, or a fraction below 1 of those planned that
        are neither skipped nor duplicate; what an earlier try of the same run delivered belongs to those planned. Where
        every run reads the whole table, only new rows are planned besides the bad ones: a count fits better there.
    :param max_unknown: records that became unknown in this run tolerated. Any ``failed`` fails the task.
    :param batch_size: records a request; default and upper bound: the vendor's.
    :param max_in_flight: requests at the same time; default: the vendor's.
    :param requests_per_second: sustained rate; default: the vendor's.
    :param request_attempts: requests for a record within one try, as long as it is certain that none created it.
    :param request_timeout: seconds for a request and its answer, 600 at most; ``None``: the connection's
        ``request_timeout``, else 60.
    :param max_wait: seconds that a vendor's ``Retry-After`` is waited for; a longer one reschedules the task.
    :param store_payload: which payloads the outcome table keeps: ``"undelivered"``, ``"all"`` or ``"never"`` (then no
        text of the vendor either).
    :param xcom_outcomes: which outcomes the summary lists: ``"auto"``, ``"all"``, ``"undelivered"`` or ``"none"``;
        ``auto`` is ``all`` without an outcome table (above 10,000 records ``undelivered``), else ``none``.
    :param plan_only: check everything and count; send and remember nothing.
    :param plan_rows: with ``plan_only``, the first so many keys of each kind are listed in the summary's ``plan``.
    :param plan_identifiers: list them as a ``"digest"``, as logs show it, or in ``"clear"``.
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
        self.plan_rows = plan_rows
        self.plan_identifiers = plan_identifiers
        self._stop: Any = None

    @classmethod
    def _readers(cls) -> Mapping[str, Reader]:
        from airflow_provider_contacts.task.parameters import PUSH_READERS

        return PUSH_READERS

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the source."""
        raise NotImplementedError

    def source_conn_id(self) -> str | None:
        """Return the connection that is read, if it is one."""
        return None

    def execute(self, context: Context) -> dict[str, Any]:
        """Push, and return the summary."""
        from airflow_provider_contacts.task.execution import run_task
        from airflow_provider_contacts.task.stop_sign import StopSign

        self._stop = StopSign()
        return run_task(self._plan(), context, self._stop)

    def on_kill(self) -> None:
        """Send nothing more; what is in flight gets its last three seconds."""
        if self._stop is not None:
            self._stop.set()

    def stopping(self) -> bool:
        """Tell whether the task was told to stop."""
        return self._stop is not None and bool(self._stop.is_set())

    def _plan(self) -> TaskPlan:
        from airflow_provider_contacts.task.options import PushOptions
        from airflow_provider_contacts.task.parameters import TaskPlan

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
            plan_rows=self.plan_rows,
            plan_identifiers=self.plan_identifiers,
            rows=self.rows,
            source_conn_id=self.source_conn_id(),
        )
