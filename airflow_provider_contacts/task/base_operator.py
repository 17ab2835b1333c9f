"""The base of the operators: literals are checked when the DAG is parsed; one execution is a push."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from inspect import signature
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import AssetAlias, BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean
from airflow_provider_contacts.task.links import OutcomesLink, VendorDocumentationLink

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_contacts.ledgers.run_identity import RunIdentity
    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.parameters import Parser
    from airflow_provider_contacts.task.signals import Delivery

NO_PARAMETERS = frozenset({"self", "args", "kwargs", "__class__"})


class WrongParameterError(ConfigError, AirflowFailException):
    """A parameter is wrong as it is written in the DAG file.

    Raised when the DAG is parsed. A mapped task is built when it runs: Airflow does not try that again.
    """


class LiteralsCheckedOperator(BaseOperator):
    """An operator whose literal parameters are checked when the DAG is parsed; templates wait until the task runs."""

    def __init__(self, **kwargs: Any) -> None:
        self.refuse_unknown(set(kwargs) - parameters_of(BaseOperator), kwargs.get("task_id"))
        super().__init__(**kwargs)

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        """Return what parses each parameter."""
        raise NotImplementedError

    @classmethod
    def refuse_unknown(cls, strange: AbstractSet[str], task_id: Any) -> None:
        """Refuse parameters that there are not; Airflow's own error repeats the values, which may be records."""
        if strange:
            nearest = "".join(did_you_mean(name, parameters_of(cls)) for name in sorted(strange))
            name = getattr(cls, "custom_operator_name", cls.__name__)
            raise TypeError(f"task {task_id!r}: {name} has no parameter {sorted(strange)}{nearest}")

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return a mapped task without its mapped parameters; see Airflow."""
        cls._parse_literals(kwargs, kwargs.get("task_id"))
        made = super().partial(**kwargs)
        owners = [made.kwargs[one] for one in ("task_group", "dag")]
        for defaults in (kwargs.get("default_args"), *(getattr(one, "default_args", None) for one in owners)):
            inherited = {name: value for name, value in (defaults or {}).items() if name not in kwargs}
            cls._parse_literals(inherited, made.kwargs["task_id"])
        return made

    def _keep(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the ``locals()`` of an ``__init__`` as attributes.

        Return all parameters kept so far, its bases' too, that could be parsed already.
        """
        for name, value in given.items():
            if name not in NO_PARAMETERS:
                setattr(self, name, value)
        kept = vars(self)
        return self._parse_literals({name: kept[name] for name in self._parsers() if name in kept}, self.task_id)

    def _offer_alias(self, given: Mapping[str, Any]) -> None:
        """Make an asset alias the default of ``outlets``.

        Not where the task runs many times in a dag run: each would send an event, and Airflow fails one of two that
        make a new asset at the same moment.
        """
        mapped = is_mapped(self) or any(self.iter_mapped_task_groups())
        runs_once = self.has_dag() and not mapped  # type: ignore[no-untyped-call]  # Airflow's
        if runs_once and "outlets" not in given and not self.outlets:
            from airflow_provider_contacts.task.signals import alias_name

            self.outlets = [AssetAlias(alias_name(self.dag_id, self.task_id))]

    @classmethod
    def _parse_literals(cls, given: Mapping[str, Any], task_id: Any) -> dict[str, Any]:
        from airflow_provider_contacts.task.parameters import parse_all

        fixed = {name for name, value in given.items() if name not in cls.template_fields or not is_template(value)}
        with naming_task(task_id):
            return parse_all(cls._parsers(), {name: given[name] for name in fixed})

    def parsed(self) -> dict[str, Any]:
        """Return all parameters, parsed."""
        return {name: parse(getattr(self, name), name) for name, parse in self._parsers().items()}


@cache
def parameters_of(operator: type) -> frozenset[str]:
    """Return the names of an operator's parameters, its bases' too."""
    made = [vars(kind)["__init__"] for kind in operator.__mro__ if "__init__" in vars(kind)]
    return frozenset(name for one in made for name in signature(one).parameters) - NO_PARAMETERS


def is_mapped(operator: BaseOperator) -> bool:
    """Tell whether an operator is one of those that a mapped task becomes."""
    return bool(getattr(operator, "_BaseOperator__from_mapped", False))  # as Airflow's decorators ask


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
    return is_output(value)


def is_output(value: Any) -> bool:
    """Tell whether a value is resolved when the task runs: an upstream output, or a mapped task group's argument."""
    # As Airflow tells what to resolve.
    return not isinstance(value, PathLike) and callable(getattr(value, "resolve", None))


class ContactsOperator(LiteralsCheckedOperator):
    """Push records into a vendor; the base of every operator that does, with the parameters that all of them have.

    A subclass says where the records come from. The task returns its summary, and leaves it in XCom also when it fails.

    :param contacts_conn_id: connection of the vendor. Its type chooses the vendor.
    :param destination: where in the vendor's account the contacts go: a mapping, or its JSON text. A key given here
        takes precedence over the same key in the connection's extra; an unknown one is an error. Intermezzo:
        ``organization_id``. Nedzo: ``contact_list_id``, optional. Dex: none. Apptoto: ``address_book_id``, or
        ``address_book``, its name. Talkdesk: ``record_list_id``.
    :param sync_key: the column, or the list of columns, that identifies a record; required with a query and with files.
        ``None``: the digest of the payload identifies it, so a record whose data changes is a new one.
    :param field_map: mapping of source columns to vendor fields. It is applied before everything else.
    :param unmapped: what happens to a column that the vendor does not know and that is no part of the key. ``"error"``:
        where the columns are known in advance (a query, CSV, Parquet, a data frame), the task fails before it sends
        anything; else each record with such a column is ``invalid``. ``"ignore"``: the column is left out.
    :param outcomes_conn_id: connection of the database with the outcome table: SQLite, PostgreSQL, MySQL or MariaDB.
        ``None``: outcomes go to XCom, and what was sent is remembered within this dag run alone.
    :param outcomes_table: name of the outcome table, or ``schema.name``. The name has at most 52 characters. The tables
        behind it have the same name, with ``_syncs``, ``_runs``, ``_batches`` and ``_records`` at its end.
    :param create_tables: create what is missing of the table. ``False``: the task fails, and its error has the DDL.
    :param sync_id: the name under which the table remembers the records, in this run and in later ones. ``None``:
        ``{dag_id}/{task_id}@{contacts_conn_id}``, with ``:{destination object}`` behind it where there is one.
    :param on_unknown: what happens to a record that an earlier request may have created. ``"hold"``: it is not sent.
        ``"reconcile"``: the vendor is read; what is found there is settled, what complete reads do not show is
        sent.
        ``"resend"``: it is sent again, and may then exist twice.
    :param max_rejected: how many ``rejected`` and ``invalid`` records the task tolerates: a count, or a fraction below
        1 of the records that are neither ``duplicate`` nor ``skipped`` because an earlier run delivered them. Give a
        count if every run reads the whole table: the fraction would be one of the new and the bad rows alone.
    :param max_unknown: how many records the task tolerates that became ``unknown`` in this run: a count. Records held
        from earlier runs do not count.
    :param batch_size: records a request, at most the vendor's number. ``None``: the vendor's number.
    :param max_in_flight: requests that are under way at the same time. ``None``: the vendor's number.
    :param requests_per_second: sustained rate of this task. ``None``: the vendor's rate; where the vendor states none,
        the task finds its own pace.
    :param request_attempts: how many requests may carry a record within one try. A record is sent again within a try
        only if it is certain that no request has created it.
    :param request_timeout: seconds for a request and its answer, at most 600. ``None``: ``request_timeout`` of the
        connection, else 60.
    :param max_wait: the longest ``Retry-After`` that the task waits for, in seconds, at most 86,400. For a longer one
        it frees its worker and comes back at that moment.
    :param store_payload: which payloads the table keeps. ``"undelivered"``: until the record is delivered. ``"all"``:
        all. ``"never"``: none, and no text of the vendor either.
    :param xcom_outcomes: which outcomes the summary lists: ``"all"``, ``"undelivered"`` or ``"none"``. ``"auto"``:
        none with an outcome table, else all, and above 10,000 records the undelivered ones.
    :param plan_only: read and check every record, and count what a push would do; send and write nothing.
    :param plan_rows: with ``plan_only``, how many keys of each kind the summary lists, at most 1,000.
    :param plan_identifiers: list these keys as a ``"digest"``, as in logs, or in ``"clear"``.
    :raises ConfigError: when the DAG is parsed, if a value written in the DAG file is wrong. A template, or an upstream
        output, is checked when the task runs; a wrong one fails the task without a retry.
    """

    template_fields: Sequence[str] = (
        *("contacts_conn_id", "destination", "outcomes_conn_id", "outcomes_table", "sync_id"),
        *("max_rejected", "max_unknown", "plan_only"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"destination": "json"}
    ui_color = "#d8e8d0"
    operator_extra_links = (OutcomesLink(), VendorDocumentationLink())
    contacts_conn_id: Any
    outcomes_conn_id: Any
    sync_id: Any
    sync_key: Any
    on_unknown: Any
    max_rejected: Any
    plan_only: Any
    requires_key: ClassVar[bool] = False
    """Whether ``sync_key``, be it ``None``, must be written out."""
    _is_stopped = False
    wake: Callable[[], None] | None = None
    """Ends the engine's wait."""
    docs_url = ""
    """The vendor's page, once it is known that the task pushes."""
    identity: RunIdentity | None = None
    """The run that the task is, once it is known that it pushes."""
    delivery: Delivery | None = None
    """What the execution brought where, at its end."""

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self._offer_alias(kwargs)

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.parameters import PUSH_PARSERS

        return PUSH_PARSERS

    def rows(self) -> AbstractContextManager[RowSource]:
        """Open the source."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Push, and return the summary."""
        from airflow_provider_contacts.task.execution import Execution, run_task

        return run_task(Execution, self, context)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002  # its signature
        """Return the lineage of the push; OpenLineage's provider asks, where it is installed."""
        from airflow_provider_contacts.task.lineage import lineage_of

        return lineage_of(self)

    def on_kill(self) -> None:
        """Send nothing more; what is in flight gets its last three seconds."""
        self._is_stopped = True
        if self.wake is not None:
            self.wake()

    def stopping(self) -> bool:
        """Tell whether the task was told to stop."""
        return self._is_stopped
