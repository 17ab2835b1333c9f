"""The base of the operators: literals are checked when the DAG is parsed; one execution is a push."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from inspect import signature
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.airflow_parameters import TaskParameters
    from airflow_provider_contacts.task.parameters import Parser

OWNERS = ("task_group", "dag")
NO_PARAMETERS = frozenset({"self", "kwargs", "__class__"})


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
    def _parsers(cls) -> Mapping[str, Parser]:
        """Return what parses each parameter."""
        raise NotImplementedError

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return a mapped task without its mapped parameters; see Airflow."""
        cls._parse_literals(kwargs, kwargs.get("task_id"))
        made = super().partial(**kwargs)
        for defaults in (
            kwargs.get("default_args"),
            *(getattr(made.kwargs[one], "default_args", None) for one in OWNERS),
        ):
            inherited = {name: value for name, value in (defaults or {}).items() if name not in kwargs}
            cls._parse_literals(inherited, made.kwargs["task_id"])
        return made

    def _keep(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the parameters as attributes of their names; return those that could be parsed already.

        :param given: ``locals()`` of ``__init__``.
        """
        for name, value in given.items():
            if name not in NO_PARAMETERS:
                setattr(self, name, value)
        return self._parse_literals(given, self.task_id)

    @classmethod
    def _parse_literals(cls, given: Mapping[str, Any], task_id: Any) -> dict[str, Any]:
        from airflow_provider_contacts.task.parameters import parse_all

        literals = {
            name: value for name, value in given.items() if not (name in cls.template_fields and is_template(value))
        }
        with naming_task(task_id):
            return parse_all(cls._parsers(), literals)

    def parsed(self) -> dict[str, Any]:
        """Return all parameters, parsed.

        :raises ConfigError: naming the parameter and what is allowed.
        """
        return {name: parse(getattr(self, name), name) for name, parse in self._parsers().items()}


@cache
def parameters_of(operator: type[BaseOperator]) -> frozenset[str]:
    """Return the names of an operator's own parameters."""
    return frozenset(signature(operator.__init__).parameters) - NO_PARAMETERS


@contextmanager
def naming_task(task_id: Any) -> Iterator[None]:
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
        return any(mark in value for mark in ("{{", "{%", "{#"))
    # As Airflow tells what to resolve.
    return not isinstance(value, PathLike) and callable(getattr(value, "resolve", None))


class ContactsOperator(LiteralsCheckedOperator):
    """The base of the operators that send; a subclass writes its parameters out and gives its rows."""

    template_fields: Sequence[str] = (
        *("contacts_conn_id", "destination", "outcomes_conn_id", "outcomes_table", "sync_id"),
        *("max_rejected", "max_unknown", "plan_only"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"destination": "json"}
    ui_color = "#d8e8d0"
    contacts_conn_id: Any
    outcomes_conn_id: Any
    sync_id: Any
    sync_key: Any
    on_unknown: Any
    max_rejected: Any
    _stop: Any = None

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.parameters import PUSH_PARSERS

        return PUSH_PARSERS

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the source."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Push, and return the summary."""
        from airflow_provider_contacts.task.execution import Execution

        return self._run(Execution, context)

    def _run(self, kind: Any, context: Context) -> dict[str, Any]:
        from airflow_provider_contacts.task.execution import StopFlag, run_task

        self._stop = StopFlag()
        return run_task(kind, self, context, self._stop)

    def on_kill(self) -> None:
        """Send nothing more; what is in flight gets its last three seconds."""
        if self._stop is not None:
            self._stop.set()

    def stopping(self) -> bool:
        """Tell whether the task was told to stop."""
        return self._stop is not None and bool(self._stop.is_set())


class QueryOperator(ContactsOperator):
    """The base of the operators that send the rows of a query."""

    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json", "destination": "json"}
    sql: Any
    sql_conn_id: Any
    parameters: Any
    chunk_size: int

    def rows(self) -> AbstractContextManager[RowSource]:
        """Run the query."""
        from airflow_provider_contacts.sources import rows_of_query
        from airflow_provider_contacts.task.connections import sql_hook

        conn_id = self.sql_conn_id or ""
        hook = sql_hook(conn_id, "sql_conn_id")
        return rows_of_query(hook, self.sql, self.parameters, self.chunk_size, stopping=self.stopping, conn_id=conn_id)
