"""Fields with records or keys: Airflow renders and resolves them, and neither stores nor shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import XComArg

from airflow_provider_contacts.task.base_operator import LiteralsCheckedOperator, is_mapped, is_output

if TYPE_CHECKING:
    from airflow.sdk import Context


class Hidden:
    """A value that Airflow shows as a word: in the serialized DAG, among rendered fields, in its log."""

    def __init__(self, value: Any, name: str) -> None:
        self.value, self.name = value, name

    def __repr__(self) -> str:
        """Show the name of the field instead of the value."""
        return f"({self.name})"


class HiddenField:
    """An operator's field whose value Airflow reads as a word."""

    def __init__(self, name: str) -> None:
        self.name, self.kept_as = name, f"_hidden_{name}"

    def given(self, operator: HidingOperator) -> Hidden:
        """Return what was given."""
        found: Hidden = vars(operator).get(self.kept_as, Hidden(None, self.name))
        return found

    def __get__(self, operator: HidingOperator, owner: type) -> Any:
        """Return an upstream output that Airflow has to resolve, else a word in place of the value."""
        given = self.given(operator)
        return given.value if is_output(given.value) else given if operator.rendered else repr(given)

    def __set__(self, operator: HidingOperator, value: Any) -> None:
        """Keep a value, but not the word: rendering hands back what it read."""
        if not (isinstance(value, str) and value == f"({self.name})" and self.kept_as in vars(operator)):
            setattr(operator, self.kept_as, value if isinstance(value, Hidden) else Hidden(value, self.name))


class HidingOperator(LiteralsCheckedOperator):
    """An operator with fields that Airflow neither stores nor shows."""

    hidden: ClassVar[Sequence[str]]
    """Their names."""

    rendered: ClassVar[bool]
    """Whether templates in them are rendered."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Hide the fields that the class names."""
        super().__init_subclass__(**kwargs)
        for name in vars(cls).get("hidden", ()):
            setattr(cls, name, HiddenField(name))

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return a mapped task without its mapped parameters; see Airflow."""
        made = super().partial(**hide(kwargs, cls.hidden))
        kind: Any = type(made)
        made.__class__ = hiding_kind(kind)
        return made

    def given(self, name: str) -> Any:
        """Return the value of a hidden field."""
        return HiddenField(name).given(self).value

    def _follow_hidden(self) -> None:
        """Run behind the tasks whose outputs are hidden: Airflow does not look for them behind the word."""
        if not is_mapped(self):
            XComArg.apply_upstream_relationship(self, [self.given(name) for name in self.hidden])

    def render_template(self, content: Any, context: Context, *rest: Any, **more: Any) -> Any:
        """Render templates, also in what is hidden, and hide the result; see Airflow."""
        if isinstance(content, Hidden):
            # Anew: another try, or another run, of the same process renders the template again.
            return Hidden(self.render_template(content.value, context, *rest, **more), content.name)
        return super().render_template(content, context, *rest, **more)


def hide_value(value: Any, name: str) -> Any:
    """Return a value so that Airflow does not show it; an upstream output stays what Airflow must know."""
    if is_output(value) or isinstance(value, Hidden):
        return value
    if next(iter(XComArg.iter_xcom_references(value)), None) is not None:
        # Airflow could not see them any more.
        raise ValueError(f"{name} of a mapped task holds upstream outputs: give one output of a task that joins them")
    return Hidden(value, name)


def hide(given: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a task's parameters, some of them hidden."""
    return {name: hide_value(value, name) if name in names else value for name, value in given.items()}


@cache
def hiding_kind(kind: Any) -> Any:
    """Return Airflow's class of mapped tasks in the making, hiding the literals that a field is expanded over."""

    class HidingPartial(kind):  # type: ignore[misc]  # Airflow's class, which is none of its public ones
        __slots__ = ()

        def expand(self, **mapped: Any) -> Any:
            """Return the mapped task; see Airflow."""
            for name in set(self.operator_class.hidden) & set(mapped):
                values = mapped[name]
                if isinstance(values, Mapping):
                    raise ValueError(f"{name} to expand over is a mapping: give a list with the {name} of each task")  # noqa: TRY004  # as Airflow for its own
                if isinstance(values, list | tuple):
                    mapped[name] = [hide_value(one, name) for one in values]
            return super().expand(**mapped)

        def expand_kwargs(self, kwargs: Any, **more: Any) -> Any:
            """Return the mapped task; see Airflow."""
            if isinstance(kwargs, list | tuple):
                hidden = self.operator_class.hidden
                kwargs = [hide(one, hidden) if isinstance(one, Mapping) else one for one in kwargs]
            return super().expand_kwargs(kwargs, **more)

    return HidingPartial
