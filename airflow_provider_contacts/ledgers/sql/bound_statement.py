"""Statements in the driver's own form, made once: SQLAlchemy's binding costs more than all that SQLite does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect


class Prepared:
    """A statement for one kind of database.

    :param fields: parameter to the field that it takes; every other parameter keeps its value.
    """

    def __init__(self, statement: ClauseElement, dialect: Dialect, fields: Mapping[str, str]) -> None:
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self._text = str(compiled)
        order: Sequence[str] | None = getattr(compiled, "positiontup", None)
        self._given = [
            (name, fields.get(name), compiled.params[name]) for name in (compiled.params if order is None else order)
        ]
        self._named = order is None

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> int:
        """Run the statement for each row; return how many rows of the table the driver says it wrote."""
        bound = list(map(self.bound, rows))
        return connection.exec_driver_sql(self._text, bound).rowcount if bound else 0

    def query(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Run the statement once; return what it gives."""
        return connection.exec_driver_sql(self._text, self.bound(values))

    def bound(self, values: Mapping[str, Any]) -> Any:
        """Return the parameters as the driver wants them."""
        if self._named:
            return {name: constant if field is None else values[field] for name, field, constant in self._given}
        return tuple([constant if field is None else values[field] for _, field, constant in self._given])
