"""Records among an operator's fields: Airflow renders and resolves them, and neither stores nor shows them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from airflow.sdk import XComArg

from airflow_provider_contacts.task.base_operator import LiteralsCheckedOperator

HIDDEN = "(records)"
"""The word that replaces the records wherever Airflow stores or shows an operator's fields."""


class HiddenRecords:
    """Records that Airflow shows as a word: in the serialized DAG, among rendered fields, in its log.

    Templates in them are rendered all the same.
    """

    template_fields: ClassVar[tuple[str, ...]] = ("records",)

    def __init__(self, records: Any) -> None:
        self.records = records

    def __repr__(self) -> str:
        """Show a word instead of the records."""
        return HIDDEN


class RecordsOperator(LiteralsCheckedOperator):
    """An operator whose ``records`` Airflow neither stores nor shows."""

    rendered: ClassVar[bool]
    """Whether templates in the records are rendered."""

    _given: Any = HiddenRecords(None)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return a mapped task without its mapped parameters; see Airflow."""
        made = super().partial(**hide(kwargs))
        kind: Any = type(made)
        made.__class__ = hiding_kind(kind)
        return made

    def _keep(self, given: Mapping[str, Any]) -> dict[str, Any]:
        parsed = super()._keep(given)
        # Past the setter: the records given may be this very word.
        self._given = as_hidden(given["records"])
        return parsed

    @property
    def records(self) -> Any:
        """An upstream output that Airflow has to resolve, else a word in place of the records."""
        given = self._given.records
        return given if is_output(given) else self._given if self.rendered else HIDDEN

    @records.setter
    def records(self, value: Any) -> None:
        # Rendering hands back what the getter returned: the word must not replace the records.
        if not (isinstance(value, str) and value == HIDDEN):
            self._given = as_hidden(value)

    def given_records(self) -> Any:
        """Return the records."""
        return self._given.records


def as_hidden(value: Any) -> HiddenRecords:
    """Wrap records that are not wrapped yet."""
    return value if isinstance(value, HiddenRecords) else HiddenRecords(value)


def is_output(value: Any) -> bool:
    """Tell whether a value is resolved when the task runs: an upstream output, or a mapped task group's argument."""
    return callable(getattr(value, "resolve", None)) and not isinstance(value, HiddenRecords)


def hidden(value: Any) -> Any:
    """Return records so that Airflow does not show them; an upstream output stays what Airflow must know."""
    if is_output(value) or isinstance(value, HiddenRecords):
        return value
    if next(iter(XComArg.iter_xcom_references(value)), None) is not None:
        # Airflow could not see them any more.
        raise ValueError("records of a mapped task holds upstream outputs: give one output of a task that joins them")
    return HiddenRecords(value)


def hide(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's parameters with their records hidden."""
    return {name: hidden(value) if name == "records" else value for name, value in given.items()}


@cache
def hiding_kind(kind: Any) -> Any:
    """Return Airflow's class of mapped tasks in the making, hiding the literal records that it is expanded over."""

    class HidingPartial(kind):  # type: ignore[misc]  # Airflow's class, which is none of its public ones
        __slots__ = ()

        def expand(self, **mapped: Any) -> Any:
            """Return the mapped task; see Airflow."""
            records = mapped.get("records")
            if isinstance(records, Mapping):
                raise ValueError("records to expand over is a mapping: give a list with the records of each task")  # noqa: TRY004  # as Airflow for its own
            if isinstance(records, list | tuple):
                mapped["records"] = list(map(hidden, records))
            return super().expand(**mapped)

        def expand_kwargs(self, kwargs: Any, **more: Any) -> Any:
            """Return the mapped task; see Airflow."""
            if isinstance(kwargs, list | tuple):
                kwargs = [hide(one) if isinstance(one, Mapping) else one for one in kwargs]
            return super().expand_kwargs(kwargs, **more)

    return HidingPartial
