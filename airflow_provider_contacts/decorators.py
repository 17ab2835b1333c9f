"""``@task.contacts``: a function returns or yields records, and the rest is a push."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, overload

from airflow.sdk import get_current_context
from airflow.sdk.bases.decorator import DecoratedOperator, determine_kwargs, task_decorator_factory
from airflow.sdk.bases.operator import get_merged_defaults

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.base_operator import ContactsOperator, naming_task, parameters_of
from airflow_provider_contacts.task.hidden_fields import Hidden, HidingOperator, hide, hide_value

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import Task

    from airflow_provider_contacts.sources import RowSource

__all__ = ["contacts_task"]


Params = ParamSpec("Params")
Given = TypeVar("Given")


@overload
def contacts_task(python_callable: Callable[Params, Given]) -> Task[Params, Given]: ...
@overload
def contacts_task(**kwargs: Any) -> Callable[[Callable[Params, Given]], Task[Params, Given]]: ...
def contacts_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
    """Push the records that a function returns or yields; in a DAG it is ``@task.contacts(contacts_conn_id=...)``.

    It has the parameters of :class:`~airflow_provider_contacts.operators.ContactsOperator`, and those of any ``@task``.
    The function returns what ``PushContactsOperator`` takes as ``records``, or yields records or pages of records; the
    same ones for every try of a run. It is called once a try, after connection, destination and outcome table have been
    checked. A generator is read as the vendor takes its records. The function's arguments are those of any ``@task``;
    neither the UI nor the stored DAG shows them.

    :param python_callable: the function, where the decorator is written without parentheses.
    :raises ConfigError: when the DAG is parsed, if a value written there is wrong or the function is asynchronous.
    """
    if python_callable is None:
        return lambda function: contacts_task(function, **kwargs)
    function = inspect.unwrap(python_callable)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        with naming_task(kwargs.get("task_id", function.__name__)):
            raise ConfigError("the function of @task.contacts is asynchronous: write def, and yield or return records")
    made: Any = task_decorator_factory(python_callable, decorated_operator_class=ContactsDecoratedOperator, **kwargs)
    kind: Any = type(made)
    made.__class__ = hiding_decorator(kind)
    return made


class ContactsDecoratedOperator(DecoratedOperator, HidingOperator, ContactsOperator):
    """Push the records that a decorated function returns or yields."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *ContactsOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = ContactsOperator.template_fields_renderers
    hidden: ClassVar[Sequence[str]] = DecoratedOperator.template_fields
    rendered: ClassVar[bool] = True
    custom_operator_name = "@task.contacts"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._follow_hidden()

    @classmethod
    def checked(cls, made: Any, given: Mapping[str, Any]) -> Any:
        """Return a mapped task once its parameters are known to be right; Airflow waits until it runs."""
        operator, own = made.operator, given.get("default_args")
        cls.refuse_unknown(given.keys() - parameters_of(cls), operator.task_id)
        inherited, _ = get_merged_defaults(operator.dag, operator.task_group, task_params=None, task_default_args=own)
        every = {**inherited, **given}
        cls._parse_literals(every, operator.task_id)
        if "contacts_conn_id" not in every:
            raise TypeError("missing keyword argument 'contacts_conn_id'")  # as Airflow says it
        return made

    def execute(self, context: Context) -> dict[str, Any]:
        """Push, and return the summary."""
        return ContactsOperator.execute(self, context)

    def rows(self) -> AbstractContextManager[RowSource]:
        """Call the function."""
        from airflow_provider_contacts.sources import rows_of_records

        return rows_of_records(self._records())

    def _records(self) -> Any:
        args = tuple(map(shown, self.given("op_args")))
        named = {name: shown(value) for name, value in self.given("op_kwargs").items()}
        context: Mapping[str, Any] = {**get_current_context(), **named}
        found = self.python_callable(*args, **determine_kwargs(self.python_callable, args, context))
        # What a generator raises before its first record leaves as it is, like any function's error: nothing is sent.
        return chain(list(islice(found, 1)), found) if inspect.isgenerator(found) else found


def shown(value: Any) -> Any:
    """Return a value that may be hidden."""
    return value.value if isinstance(value, Hidden) else value


@cache
def hiding_decorator(kind: Any) -> Any:
    """Return Airflow's class of decorated functions, hiding the arguments of those that are mapped."""

    class HidingDecorator(kind):  # type: ignore[misc]  # Airflow's class, which is none of its public ones
        __slots__ = ()

        def partial(self, **given: Any) -> Any:
            """Return the function with some of its arguments; see Airflow."""
            return super().partial(**hide(given, list(given)))

        def expand(self, **mapped: Any) -> Any:
            """Return the mapped task; see Airflow."""
            for name, values in mapped.items():
                several = list(values.items()) if isinstance(values, Mapping) else values
                if isinstance(several, list | tuple):
                    mapped[name] = [hide_value(one, name) for one in several]
            return self.operator_class.checked(super().expand(**mapped), self.kwargs)

        def expand_kwargs(self, kwargs: Any, **more: Any) -> Any:
            """Return the mapped task; see Airflow."""
            if isinstance(kwargs, list | tuple):
                kwargs = [hide(one, list(one)) if isinstance(one, Mapping) else one for one in kwargs]
            return self.operator_class.checked(super().expand_kwargs(kwargs, **more), self.kwargs)

    return HidingDecorator
