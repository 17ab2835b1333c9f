"""Records of an upstream task, in whatever form rows come: with names they are records, without them an error."""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pandas as pd  # noqa: TID253  # frames are what is tested
import polars as pl  # noqa: TID253  # likewise
import pyarrow as pa  # noqa: TID253  # likewise
import pytest
import sqlalchemy as sa  # noqa: TID253  # its rows are what is tested
from psycopg2.extras import DictRow, RealDictRow  # type: ignore[import-untyped]  # it has no types

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources import rows_of_records

ADA, BO = {"k": 1, "first_name": "Ada"}, {"k": 2, "first_name": "Bo"}


class Person(NamedTuple):
    k: int
    first_name: str


@dataclass
class Contact:
    k: int
    first_name: str


def sqlite_rows() -> list[Any]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    rows = connection.execute("SELECT 1 AS k, 'Ada' AS first_name UNION ALL SELECT 2, 'Bo'").fetchall()
    connection.close()
    return rows


def sqlalchemy_rows() -> list[Any]:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT 1 AS k, 'Ada' AS first_name UNION ALL SELECT 2, 'Bo'")).all()
    engine.dispose()
    return list(rows)


def dict_rows() -> list[Any]:
    class Cursor:
        index: ClassVar = {"k": 0, "first_name": 1}
        description = (("k",), ("first_name",))

    rows = []
    for values in ((1, "Ada"), (2, "Bo")):
        row = DictRow(Cursor())
        row[:] = values
        rows.append(row)
    return rows


Loose = namedtuple("Loose", ["k", "first_name"])  # noqa: PYI024  # as drivers make them
FRAME = pd.DataFrame([ADA, BO])
TABLE = pa.table({"k": [1, 2], "first_name": ["Ada", "Bo"]})
NAMED: dict[str, Callable[[], Any]] = {
    "named tuples": lambda: [Person(1, "Ada"), Person(2, "Bo")],
    "a driver's named tuples": lambda: [Loose(1, "Ada"), Loose(2, "Bo")],
    "itertuples": lambda: list(FRAME.itertuples(index=False)),
    "an iterator of them": lambda: FRAME.itertuples(index=False),
    "data classes": lambda: [Contact(1, "Ada"), Contact(2, "Bo")],
    "sqlite3.Row": sqlite_rows,
    "SQLAlchemy's rows": sqlalchemy_rows,
    "SQLAlchemy's mappings": lambda: [row._mapping for row in sqlalchemy_rows()],
    "DictRow": dict_rows,
    "RealDictRow": lambda: [RealDictRow(ADA), RealDictRow(BO)],
    "a list of lists of them": lambda: [[Person(1, "Ada")], [Person(2, "Bo")]],
    "a polars frame": lambda: pl.DataFrame([ADA, BO]),
    "an Arrow table": lambda: TABLE,
    "an Arrow batch": lambda: TABLE.to_batches()[0],
    "an Arrow reader": TABLE.to_reader,
    "frames in a list": lambda: [pl.DataFrame([ADA]), pa.table({"k": [2], "first_name": ["Bo"]})],
}


@pytest.mark.parametrize("what", NAMED)
def test_rows_with_names_are_records(what: str) -> None:
    with rows_of_records(NAMED[what]()) as rows:
        found = list(rows)
    assert [dict(row) for row in found] == [ADA, BO]


@pytest.mark.parametrize("what", ["a polars frame", "an Arrow table", "an Arrow batch", "an Arrow reader"])
def test_a_frame_of_another_library_knows_its_columns(what: str) -> None:
    assert rows_of_records(NAMED[what]()).columns == ("k", "first_name")


def test_a_large_frame_is_read_in_parts() -> None:
    for frame in (pl.DataFrame({"k": range(2500)}), pa.table({"k": list(range(2500))})):
        assert [row["k"] for row in rows_of_records(frame)] == list(range(2500))


@pytest.mark.parametrize(
    "records",
    [
        [(1, "Ada"), (2, "Bo")],
        ((1, "Ada"), (2, "Bo")),
        [[1, "Ada"], [2, "Bo"]],
        [[(1, "Ada")], [(2, "Bo")]],
        [[[1, "Ada"]], [[2, "Bo"]]],
        [("only",)],
        [(None, None)],
        iter([(1, "Ada")]),
        list(FRAME.itertuples(index=False, name=None)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rows_without_names_are_one_configuration_error(records: Any) -> None:
    with pytest.raises(ConfigError, match="rows without column names") as caught:
        list(rows_of_records(records))
    assert "SqlToContactsOperator" in str(caught.value)
    assert "Ada" not in str(caught.value)


def test_nothing_is_no_records() -> None:
    assert list(rows_of_records(None)) == []
    assert list(rows_of_records([])) == []
    assert list(rows_of_records([[], ()])) == []


@pytest.mark.parametrize(
    "others", [[[{"a": 1}], [{"a": 2}]], [pd.DataFrame([{"a": 1}, {"a": 2}])]], ids=["lists", "frame"]
)
def test_an_upstream_among_others_that_had_nothing_is_no_records(others: list[Any]) -> None:
    wanted = [{"a": 1}, {"a": 2}]
    assert list(rows_of_records([None, *others])) == list(rows_of_records((*others, None))) == wanted
    # Among records it is one, and told so.
    assert list(rows_of_records([None, *wanted])) == [None, *wanted]


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (pl.LazyFrame([ADA]), r"not LazyFrame of polars\.\S+: call its collect\(\) first"),
        (pl.Series([1, 2]), r"not Series of polars"),
        (pd.Series([1, 2]), r"not Series of pandas"),
        (pa.array([1, 2]), r"not Int64Array of pyarrow\.lib: turn it into a list"),
        (Person(1, "Ada"), "wrap it in a list"),
        (Contact(1, "Ada"), "wrap it in a list"),
        (ADA, "wrap it in a list"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), "more than one column named 'a'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_taken_is_told_how(records: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        rows_of_records(records)


def test_a_frame_that_is_computed_elsewhere_is_told_how() -> None:
    class Elsewhere:
        columns = ("k",)

        def toPandas(self) -> Any:  # noqa: N802  # another library's name
            raise NotImplementedError

    with pytest.raises(ConfigError, match=r"not Elsewhere of \S+: call its toPandas\(\) first"):
        rows_of_records(Elsewhere())


def test_an_element_whose_attributes_raise_is_one_row_that_cannot_be_read() -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise OSError(name)

    hostile = Hostile()

    def records() -> Iterator[Any]:
        yield ADA
        yield hostile
        yield BO

    first, second, third = rows_of_records(records())
    assert (first, third) == (ADA, BO)
    assert second.reason == ("not_a_mapping", "reading its columns raises OSError")
