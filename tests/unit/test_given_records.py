"""Records of an upstream task, in whatever form rows come: with names they are records, without them an error."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import UserList, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pandas as pd  # noqa: TID253  # frames are what is tested
import polars as pl  # noqa: TID253  # likewise
import pyarrow as pa  # noqa: TID253  # likewise
import pytest
import sqlalchemy as sa  # noqa: TID253  # its rows are what is tested
from psycopg2.extras import DictRow, RealDictRow  # type: ignore[import-untyped]  # it has no types

from airflow_provider_contacts.errors import ConfigError, SourceError
from airflow_provider_contacts.sources import check_key, rows_of_records

ADA, BO = {"k": 1, "first_name": "Ada"}, {"k": 2, "first_name": "Bo"}


class Person(NamedTuple):
    k: int
    first_name: str


@dataclass
class Contact:
    k: int
    first_name: str


class Lazy(UserList[Any]):
    """As Airflow's own: an element is asked for when it is needed, and ``IndexError`` stands for any refusal."""

    missing = -1

    def __getitem__(self, key: Any) -> Any:
        if key == self.missing:
            raise IndexError(key)
        return super().__getitem__(key)


def generated() -> Iterator[dict[str, Any]]:
    yield ADA
    yield BO


BOTH = "SELECT 1 AS k, 'Ada' AS first_name UNION ALL SELECT 2, 'Bo'"


def sqlite_rows() -> list[Any]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    rows = connection.execute(BOTH).fetchall()
    connection.close()
    return rows


def sqlalchemy_rows() -> list[Any]:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        rows = connection.execute(sa.text(BOTH)).all()
    engine.dispose()
    return list(rows)


def dict_rows() -> list[Any]:
    class Cursor:
        index: ClassVar = {"k": 0, "first_name": 1}
        description = (("k",), ("first_name",))

    rows = [DictRow(Cursor()), DictRow(Cursor())]
    rows[0][:], rows[1][:] = (1, "Ada"), (2, "Bo")
    return rows


Loose = namedtuple("Loose", ["k", "first_name"])  # noqa: PYI024  # as drivers make them
FRAME = pd.DataFrame([ADA, BO])
TABLE = pa.table({"k": [1, 2], "first_name": ["Ada", "Bo"]})
TAKEN: dict[str, Callable[[], Any]] = {
    "a list": lambda: [ADA, BO],
    "a tuple": lambda: (ADA, BO),
    "an iterator": lambda: iter([ADA, BO]),
    "a generator": generated,
    "a view": {1: ADA, 2: BO}.values,
    "a lazy sequence": lambda: Lazy([ADA, BO]),
    "lists": lambda: [[ADA], [], (BO,)],
    "lazy lists": lambda: Lazy([[ADA], BO]),
    "a list of lazy sequences": lambda: [Lazy([ADA]), BO],
    "named tuples": lambda: [Person(1, "Ada"), Person(2, "Bo")],
    "a driver's named tuples": lambda: [Loose(1, "Ada"), Loose(2, "Bo")],
    "itertuples": lambda: FRAME.itertuples(index=False),
    "data classes": lambda: [Contact(1, "Ada"), Contact(2, "Bo")],
    "sqlite3.Row": sqlite_rows,
    "SQLAlchemy's rows": sqlalchemy_rows,
    "SQLAlchemy's mappings": lambda: [row._mapping for row in sqlalchemy_rows()],
    "DictRow": dict_rows,
    "RealDictRow": lambda: [RealDictRow(ADA), RealDictRow(BO)],
    "lists of rows": lambda: [[Person(1, "Ada")], [Person(2, "Bo")]],
    "a list of frames": lambda: [pl.DataFrame([ADA]), pa.table({"k": [2], "first_name": ["Bo"]})],
    "a lazy sequence of frames": lambda: Lazy([pd.DataFrame([ADA]), pd.DataFrame([BO])]),
}
FRAMES: dict[str, Callable[[], Any]] = {
    "a pandas frame": lambda: FRAME,
    "a polars frame": lambda: pl.DataFrame([ADA, BO]),
    "an Arrow table": lambda: TABLE,
    "an Arrow batch": lambda: TABLE.to_batches()[0],
    "an Arrow reader": TABLE.to_reader,
}


@pytest.mark.parametrize("what", TAKEN | FRAMES)
def test_whatever_has_names_is_records_and_only_a_frame_knows_its_columns(what: str) -> None:
    with rows_of_records((TAKEN | FRAMES)[what]()) as rows:
        assert rows.columns == (("k", "first_name") if what in FRAMES else None)
        assert [dict(row) for row in rows] == [ADA, BO]


def test_a_frame_of_no_rows_has_columns() -> None:
    assert rows_of_records(pd.DataFrame(columns=["a", "b"])).columns == ("a", "b")


@pytest.mark.parametrize("kind", [list, pd.DataFrame, pl.DataFrame, pa.Table.from_pylist])
def test_what_is_large_is_read_in_parts(kind: Any) -> None:
    rows = [{"k": number} for number in range(2500)]
    assert list(rows_of_records(kind(rows))) == rows


def test_what_is_no_mapping_is_handed_on_and_lists_are_flattened_once() -> None:
    *rows, unreadable = rows_of_records([ADA, None, "text", 3, [[BO]], {"a"}])
    assert rows == [ADA, None, "text", 3, [BO]]
    assert repr(unreadable) == "<set>"
    assert list(rows_of_records([[[ADA]]])) == [[ADA]]


def test_an_element_whose_attributes_raise_is_one_row_that_cannot_be_read() -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise OSError(name)

    first, second, third = rows_of_records(iter([ADA, Hostile(), BO]))
    assert (first, third) == (ADA, BO)
    assert repr(second) == "<Hostile>"


def test_records_are_taken_one_at_a_time() -> None:
    taken = []

    def many() -> Iterator[dict[str, int]]:
        for index in range(1_000_000):
            taken.append(index)
            yield {"index": index}

    with rows_of_records(many()) as rows:
        assert [next(rows), next(rows)] == [{"index": 0}, {"index": 1}]
    assert taken == [0, 1]


def test_an_element_that_the_server_does_not_give_is_no_end() -> None:
    records = Lazy([ADA, BO, ADA])
    records.missing = 1
    rows = rows_of_records(records)
    assert next(rows) == ADA
    with pytest.raises(SourceError, match=r"row 2 .*IndexError"):
        next(rows)


@pytest.mark.parametrize("nothing", [None, [], [[], ()]])
def test_nothing_is_no_records(nothing: Any) -> None:
    assert list(rows_of_records(nothing)) == []


@pytest.mark.parametrize("others", [[[ADA], [BO]], [FRAME]], ids=["lists", "frame"])
def test_an_upstream_that_had_nothing_is_no_record_but_a_none_among_records_is(others: list[Any]) -> None:
    assert list(rows_of_records([None, *others])) == list(rows_of_records((*others, None))) == [ADA, BO]
    assert list(rows_of_records([None, ADA, BO])) == [None, ADA, BO]


@pytest.mark.parametrize(
    "records",
    [
        [(1, "Ada"), (2, "Bo")],
        ([1, "Ada"], [2, "Bo"]),
        [[(1, "Ada")], [[2, "Bo"]]],
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


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (ADA, "wrap it in a list"),
        (Person(1, "Ada"), "wrap it in a list"),
        (Contact(1, "Ada"), "wrap it in a list"),
        ("[]", "not str"),
        (b"[]", "not bytes"),
        (bytearray(b"x"), "not bytearray"),
        (7, "not int"),
        ({"a"}, "not set"),
        (pd.DataFrame({0: [1], "a": [2]}), "labels must be text, one is int"),
        (pd.DataFrame({("a", "b"): [1]}), "one is tuple"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the DataFrame has more than one column named 'a'"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), "more than one column named 'a'"),
        (pl.LazyFrame([ADA]), r"not polars\.\S+\.LazyFrame"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_taken_is_told_how(records: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        rows_of_records(records)
    assert "Ada" not in str(caught.value)


def test_pandas_is_not_imported_for_a_list() -> None:
    script = (
        "import sys; from airflow_provider_contacts.sources import rows_of_records; list(rows_of_records([{}]));"
        "print(sorted({'pandas', 'numpy', 'sqlparse', 'sqlalchemy', 'airflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_key_that_no_first_record_has_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"sync_key names columns \['kex'\] that none of the first 2 records has"):
        check_key(rows_of_records([{"key": "a"}, {"key": "b", "x": 1}]), ("kex",))


@pytest.mark.parametrize("records", [[], None, [{"key": "a"}, {"other": 1}], [{"other": 1}, {"key": "a"}], ["text", 7]])
def test_a_key_that_some_first_record_has_is_none(records: Any) -> None:
    source = rows_of_records(records)
    check_key(source, ("key",))
    assert list(source) == list(records or [])


@pytest.mark.parametrize("inside", [lambda row: row, lambda row: [row]])
def test_one_dictionary_that_is_filled_again_and_again_is_many_records(inside: Callable[[Any], Any]) -> None:
    def refilled() -> Iterator[Any]:
        row: dict[str, Any] = {}
        for number in range(3):
            row["index"] = number
            yield inside(row)

    assert list(rows_of_records(refilled())) == [{"index": number} for number in range(3)]
