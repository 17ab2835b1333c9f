"""Statements in the driver's own form, made once: SQLAlchemy's binding costs more than all that SQLite does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import literal  # noqa: TID253  # this module is imported only by what uses a table

if TYPE_CHECKING:
    from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect

Given = tuple[str, str | None, Any]
"""One parameter: its name, the field that it takes, or the value that it keeps."""


class Prepared:
    """A statement for one kind of database.

    :param fields: parameter to the field that it takes; every other parameter keeps its value.
    :param spelled: write the values that are kept into the statement itself, rather than hand them over for each row.
    """

    def __init__(
        self, statement: ClauseElement, dialect: Dialect, fields: Mapping[str, str], *, spelled: bool = False
    ) -> None:
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        order: Sequence[str] | None = getattr(compiled, "positiontup", None)
        given = [
            (name, fields.get(name), compiled.params[name]) for name in (compiled.params if order is None else order)
        ]
        text = spelled_out(str(compiled), given, dialect) if spelled else None
        self._text = str(compiled) if text is None else text
        self.bound = binder(given, named=order is None, spelled=text is not None)

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> int:
        """Run the statement for each row; return how many rows of the table the driver says it wrote."""
        bound = list(map(self.bound, rows))
        return connection.exec_driver_sql(self._text, bound).rowcount if bound else 0

    def query(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Run the statement once; return what it gives."""
        return connection.exec_driver_sql(self._text, self.bound(values))


def binder(given: Sequence[Given], *, named: bool, spelled: bool) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes the parameters of one row, as the driver wants them."""
    if named:
        return lambda row: {name: constant if field is None else row[field] for name, field, constant in given}
    taken = [field for _, field, _ in given if field is not None]
    if spelled and len(taken) > 1:
        return itemgetter(*taken)
    kept = [(field, constant) for _, field, constant in given if field is not None or not spelled]
    return lambda row: tuple([constant if field is None else row[field] for field, constant in kept])


def spelled_out(text: str, given: Sequence[Given], dialect: Dialect) -> str | None:
    """Return a statement with its constants in it; ``None`` where one of them has no spelling.

    :param text: with a question mark for each parameter.
    """
    pieces = text.split("?")
    spellings = ["?" if field is not None else spelling(constant, dialect) for _, field, constant in given]
    if len(pieces) != len(given) + 1 or None in spellings:
        return None
    return pieces[0] + "".join(f"{spelled}{piece}" for spelled, piece in zip(spellings, pieces[1:], strict=True))


def spelling(value: Any, dialect: Dialect) -> str | None:
    """Return a value as SQL spells it, or ``None`` where that is not certain."""
    # The text of a statement ends at the first NUL.
    if type(value) not in {str, int, type(None)} or (isinstance(value, str) and "\0" in value):
        return None
    return str(literal(value).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
