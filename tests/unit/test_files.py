"""Rows of files: every format and dialect, in a stable order, and what is told of what cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import ConfigError, InterruptedPushError, SourceError
from airflow_provider_contacts.sources.file_rows import FileForm
from airflow_provider_contacts.sources.files import ROWS_AT_ONCE, rows_of_files
from airflow_provider_contacts.sources.text_files import LONGEST_LINE

SECRET = "ada@example.com"
PEOPLE = [{"id": "007", "name": "Ada"}, {"id": "1e5", "name": ""}]
PLAIN = b"id,name\n007,Ada\n1e5,\n"


@pytest.fixture
def store() -> Iterator[Any]:
    MemoryFileSystem.store.clear()
    yield MemoryFileSystem()
    MemoryFileSystem.store.clear()


def rows_of(store: Any, path: str, files: dict[str, bytes] | None = None, **form: Any) -> list[Any]:
    for name, data in (files or {}).items():
        store.pipe(name, data)
    with rows_of_files(store, path, FileForm(**form), origin=f"path {path!r}") as source:
        return list(source)


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, **options)
    return file.getvalue()


# What is read.


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (PLAIN, {}),
        (PLAIN.replace(b"\n", b"\r\n"), {}),
        (PLAIN.replace(b"\n", b"\r"), {}),
        (PLAIN.removesuffix(b"\n"), {}),
        (PLAIN.replace(b"\n", b"\n\n"), {}),
        (b"\xef\xbb\xbf" + PLAIN, {}),
        (b'\xef\xbb\xbf"id","name"\n"007","Ada"\n"1e5",""\n', {}),
        (PLAIN.decode().encode("utf-16"), {"encoding": "utf-16"}),
        (("\ufeff" + PLAIN.decode()).encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (PLAIN.replace(b",", b";"), {"delimiter": ";"}),
        (PLAIN.replace(b",", b"\t"), {"delimiter": "\t"}),
        (PLAIN.replace(b"Ada", b"'Ada'"), {"quotechar": "'"}),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_csv_is_text_in_every_dialect(store: Any, data: bytes, form: dict[str, Any], zipped: bool) -> None:
    name = "/d/People.CSV" + ".gz" * zipped
    store.pipe(name, gzip.compress(data) if zipped else data)
    with rows_of_files(store, name, FileForm(**form), origin="path") as source:
        assert (source.columns, source.untyped) == (("id", "name"), True)
        assert list(source) == PEOPLE


def test_cells_hold_delimiters_quotes_and_lines(store: Any) -> None:
    data = 'id,name\n1,"a, ""b""\r\nc"\n2,5" pipe\n3,ä\u2028\x85é\n'.encode()
    found = rows_of(store, "/a.csv", {"/a.csv": data})
    assert [row["name"] for row in found] == ['a, "b"\r\nc', '5" pipe', "ä\u2028\x85é"]
    assert rows_of(store, "/b.csv", {"/b.csv": "id\nMüller\n".encode("cp1252")}, encoding="cp1252") == [
        {"id": "Müller"}
    ]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_what_python_writes_as_csv_comes_back(rows: list[tuple[str, str]], lineterminator: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=lineterminator, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    files = {"/p.csv": text.getvalue().encode()}
    assert rows_of(MemoryFileSystem(), "/p.csv", files) == [{"a": a, "b": b} for a, b in rows]


@pytest.mark.parametrize("suffix", ["ndjson", "jsonl", "jsonl.gz", "JSONL"])
def test_ndjson_keeps_its_types(store: Any, suffix: str) -> None:
    rows: list[dict[str, Any]] = [
        {"id": 10**30, "ok": True, "n": 5.5, "no": None, "o": {"a": [1]}},
        {"other": "ä\u2028"},
    ]
    data = "\ufeff" + "\r\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    encoded = data.encode()
    found = rows_of(store, f"/a.{suffix}", {f"/a.{suffix}": gzip.compress(encoded) if "gz" in suffix else encoded})
    assert found == rows


def test_parquet_keeps_its_types_over_row_groups(store: Any) -> None:
    rows = [{"id": number, "name": str(number), "d": Decimal("1.5"), "tags": [{"a": 1}]} for number in range(2500)]
    store.pipe("/a.snappy.parquet", parquet(rows, row_group_size=1700))
    with rows_of_files(store, "/*.parquet", FileForm(), origin="path") as source:
        assert (source.columns, source.untyped) == (("id", "name", "d", "tags"), False)
        assert list(source) == rows


def test_a_pattern_is_read_in_the_order_of_the_paths_whatever_the_storage_lists_first(store: Any) -> None:
    names = ["/d/b/2.csv", "/d/a/9.csv", "/d/10.csv", "/d/b/1.csv", "/d/2.csv"]
    hidden = ["/d/_SUCCESS", "/d/.part.csv", "/d/_temporary/1.csv"]
    files = {name: f"id\n{name}\n".encode() for name in names} | dict.fromkeys(hidden, b"?")
    found = [row["id"] for row in rows_of(store, "/d/**/*.csv", files)]
    assert found == sorted(names)
    assert [row["id"] for row in rows_of(store, "/d/[ab]/?.csv")] == ["/d/a/9.csv", "/d/b/1.csv", "/d/b/2.csv"]
    assert rows_of(store, "/x/a[[]1].csv", {"/x/a[1].csv": b"id\n3\n"}) == [{"id": "3"}]
    # What is named itself is meant.
    assert rows_of(store, "/_d/_1.csv", {"/_d/_1.csv": b"id\n1\n"}) == [{"id": "1"}]
    assert rows_of(store, "/_d/*.csv", {"/_d/1.csv": b"id\n2\n"}) == [{"id": "2"}]


def test_later_files_have_the_same_columns_in_any_order(store: Any) -> None:
    found = rows_of(store, "/*", {"/a.csv": b"id,name\n1,A\n", "/b.csv.gz": gzip.compress(b"name,id\nB,2\n")})
    assert found == [{"id": "1", "name": "A"}, {"id": "2", "name": "B"}]


def test_the_format_given_overrides_the_suffix(store: Any) -> None:
    assert rows_of(store, "/a.txt", {"/a.txt": PLAIN}, file_format="csv") == PEOPLE
    assert rows_of(store, "/a.json", {"/a.json": b'{"a": 1}\n'}, file_format="ndjson") == [{"a": 1}]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "parquet"])
def test_many_rows_take_the_memory_of_few(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": str(number), "name": f"name {number * 7919}" * 5} for number in range(60_000)]
    file = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        file.write_bytes(parquet(rows, row_group_size=len(rows)))
    else:
        lines = (
            [json.dumps(row) for row in rows]
            if suffix == "jsonl"
            else ["id,name", *map(",".join, map(dict.values, rows))]
        )
        data = "\n".join(lines).encode()
        file.write_bytes(gzip.compress(data, 1) if suffix == "csv.gz" else data)
    count, size = len(rows), sum(map(sys.getsizeof, rows))
    del rows
    with rows_of_files(LocalFileSystem(), str(file), FileForm(), origin="") as source:
        tracemalloc.start()
        try:
            assert sum(1 for _ in source) == count
            assert tracemalloc.get_traced_memory()[1] < size / 4
        finally:
            tracemalloc.stop()


# What is refused before anything is sent.


@pytest.mark.parametrize(
    ("files", "path", "form", "told"),
    [
        ({}, "/d/*.csv", {}, "path '/d/*.csv' matches no file: check"),
        ({}, "/d/a.csv", {}, "path '/d/a.csv' matches no file"),
        ({"/d/_a.csv": b"id\n"}, "/d/*", {}, "matches no file but 1 that begin with _ or ., which are left out"),
        ({"/d/a.csv": b"id\n"}, "/d", {}, "memory:///d is a folder: name its files, such as memory:///d/*.csv"),
        ({"/d/a.json": b"{}"}, "/d/*", {}, "memory:///d/a.json ends with none of .csv, .ndjson, .jsonl, .parquet"),
        ({"/d/a.csv": b"id\n", "/d/b.zip": b""}, "/d/*", {}, "memory:///d/b.zip ends with none"),
        ({"/d/a.parquet.gz": b""}, "/d/*", {}, "may be followed by .gz but for parquet"),
        ({"/d/a.csv": b"id\n", "/d/b.jsonl": b""}, "/d/*", {}, "several formats, such as /d/a.csv and /d/b.jsonl"),
        ({"/a.csv": b"id\n"}, "/a.csv", {"delimiter": '"'}, "delimiter and quotechar must differ, both are '\"'"),
        ({"/a.csv": b""}, "/a.csv", {}, "line 1 of memory:///a.csv is empty: the first row"),
        ({"/a.csv": b"\xef\xbb\xbf\nid\n"}, "/a.csv", {}, "line 1 of memory:///a.csv is empty"),
        ({"/a.csv.gz": PLAIN}, "/a.csv.gz", {}, "a.csv.gz cannot be opened: it is damaged, or not compressed by gzip"),
        ({"/a.csv": b"id,name,id\n"}, "/a.csv", {}, "column 3 of memory:///a.csv has the same name as column 1"),
        ({"/a.csv": b"id, ,b\n"}, "/a.csv", {}, "column 2 of memory:///a.csv has no name in the first row: name it"),
        ({"/a.csv": b"id;name\n"}, "/a.csv", {}, "line 1 of memory:///a.csv is one name with ';' in it: set delimiter"),
        (
            {"/a.csv": b"sep=;\nid;name\n"},
            "/a.csv",
            {"delimiter": ";"},
            "line 1 of memory:///a.csv tells a spreadsheet",
        ),
        (
            {"/a.csv": b"\xef\xbb\xbfid\n"},
            "/a.csv",
            {"encoding": "cp1252"},
            "line 1 of memory:///a.csv begins with the byte order mark of utf-8, which cp1252 is not: set encoding",
        ),
        ({"/a.csv": f"Ada,{SECRET}\n".encode()}, "/a.csv", {}, "column 2 of memory:///a.csv is named by a value"),
        ({"/a.csv": b"Ada,+1 (555) 0100\n"}, "/a.csv", {}, "column 2 of memory:///a.csv is named by a value"),
        ({"/a.csv": b'{"a": 1}\n'}, "/a.csv", {}, "column 1 of memory:///a.csv is named by a value"),
        (
            {"/a.csv": PLAIN.decode().encode("utf-16")},
            "/a.csv",
            {},
            "line 1 of memory:///a.csv holds a NUL: is it plain text, and its encoding utf-8?",
        ),
        (
            {"/a.csv": b"\xff\n"},
            "/a.csv",
            {},
            "line 1 of memory:///a.csv holds bytes that are no utf-8: set encoding, such",
        ),
        ({"/a.parquet": b"PAR1"}, "/a.parquet", {}, "the footer of memory:///a.parquet is not that of Parquet"),
    ],
)
def test_what_is_wrong_with_the_files_is_told_before_a_row(
    store: Any, files: dict[str, bytes], path: str, form: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        rows_of(store, path, files, **form)
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


def test_two_columns_of_one_name_in_parquet(store: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), file)
    with pytest.raises(ConfigError, match=r"the schema of memory:///a\.parquet has more than one column named 'a'"):
        rows_of(store, "/a.parquet", {"/a.parquet": file.getvalue()})


def test_parquet_needs_its_library(store: Any) -> None:
    with (
        patch.dict("sys.modules", {"pyarrow.parquet": None}),
        pytest.raises(ConfigError, match=r"install airflow-provider-contacts\[parquet\]"),
    ):
        rows_of(store, "/a.parquet", {"/a.parquet": b""})


# What cannot be read, behind rows that can.


def read_until_error(store: Any, path: str, **form: Any) -> tuple[list[Any], SourceError]:
    found = []
    with rows_of_files(store, path, FileForm(**form), origin="") as source:
        try:
            for row in source:
                found.append(row)  # noqa: PERF402  # what came before the error
        except SourceError as error:
            return found, error
    raise AssertionError("no error", found)


GOOD = b"id,name\n1,A\n"
CORRUPT = gzip.compress(GOOD + b"".join(b"%d,%d\n" % (n, hash(n * 7919)) for n in range(100_000)))


@pytest.mark.parametrize(
    ("name", "data", "form", "told"),
    [
        ("a.csv", GOOD + f"2,{SECRET},x\n".encode(), {}, "line 3 of {url} ends a row of 3 cells, the first row has 2"),
        ("a.csv", GOOD + b'"2\n\n",B\n3\n', {}, "line 6 of {url} ends a row of 1 cells"),
        ("a.csv", GOOD + f'2,"{SECRET}"x\n'.encode(), {}, "line 3 of {url} is no CSV with this delimiter"),
        (
            "a.csv",
            GOOD + f'"2\n",B\n3,"{SECRET}\n\n'.encode(),
            {},
            "line 6 of {url} is no CSV with this delimiter and quotechar: unexpected end of data (from line 5)",
        ),
        (
            "a.csv",
            GOOD + b"2," + b"x" * 200_000 + b"\n",
            {},
            "line 3 of {url} is no CSV with this delimiter and quotechar",
        ),
        ("a.csv", GOOD + b"x" * (LONGEST_LINE + 1), {}, "line 3 of {url} is longer than 1048576 characters"),
        ("a.csv", GOOD + b"2,B\n3,\xfc\n4,D\n", {}, "line 4 of {url} holds bytes that are no utf-8: set encoding"),
        ("a.csv", GOOD + b"2,\xc3", {}, "line 3 of {url} holds bytes"),
        ("a.csv", GOOD + b"2,a\0b\n", {}, "line 3 of {url} holds a NUL"),
        ("a.csv", GOOD.decode().encode("utf-16") + b"\0", {"encoding": "utf-16"}, "line 3 of {url} holds bytes"),
        ("a.csv.gz", CORRUPT[:-20_000], {}, "{url} cannot be read behind line "),
        ("a.csv.gz", CORRUPT[:-2000] + bytes(1990), {}, "{url} cannot be read behind line "),
        (
            "a.csv.gz",
            gzip.compress(GOOD) + SECRET.encode(),
            {},
            "line 2: it is damaged, or not compressed by gzip; what",
        ),
        ("a.jsonl", b'{"id": "1"}\n{"id": ', {}, "line 2 of {url} is no JSON (at character 8)"),
        ("a.jsonl", b'{"id": "1"}\n\n[1]\n', {}, "line 3 of {url} is JSON, but no object"),
        ("a.jsonl", b'{"id": "1"}\n{"id": 1, "id": 2}\n', {}, "line 2 of {url} is no object with different names"),
        ("a.jsonl", b'{"id": "1"}\n' + b'{"id":' * 99_999, {}, "line 2 of {url} is no object with different names"),
        ("a.jsonl", b'{"id": "1"}\n{"id": "' + b"x" * LONGEST_LINE + b'"}', {}, "line 2 of {url} is longer than"),
        ("a.jsonl", b'{"id": "1"}\n{"id": "\xff"}', {}, "line 2 of {url} holds bytes that are no utf-8"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_what_was_read_before_is_given(
    store: Any, name: str, data: bytes, form: dict[str, Any], told: str
) -> None:
    store.pipe(f"/{name}", data)
    found, error = read_until_error(store, f"/{name}", **form)
    assert told.format(url=f"memory:///{name}") in str(error)
    assert str(error).endswith("; what was read before it is sent")
    assert found[0]["id"] == "1"
    assert len(found) >= (1000 if told.endswith("behind line ") else 1)
    assert (error.__cause__, error.__context__) == (None, None)
    assert SECRET not in str(error)


def test_a_corrupt_row_group_is_named(store: Any) -> None:
    rows = [{"id": number, "name": f"{SECRET}{number}"} for number in range(3000)]
    data = bytearray(parquet(rows, row_group_size=1000, compression="gzip", use_dictionary=False))
    middle = len(data) // 2
    data[middle - 200 : middle + 200] = bytes(400)
    store.pipe("/a.parquet", bytes(data))
    found, error = read_until_error(store, "/a.parquet")
    assert "memory:///a.parquet cannot be read behind row 1000: OSError: " in str(error)
    assert SECRET not in str(error)
    assert found == rows[:1000]


def test_a_value_that_python_lacks_is_named_by_its_row(store: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"at": pa.array([0] * 1500 + [10**18], pa.timestamp("us"))}), file)
    store.pipe("/a.parquet", file.getvalue())
    found, error = read_until_error(store, "/a.parquet")
    assert str(error).startswith("row 1001, or one behind it, of memory:///a.parquet cannot be read: OverflowError at ")
    assert len(found) == 1000


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (b"name\nB\n", "memory:///b.csv lacks the columns ['id'] that the files before it have"),
        (f"id,name,{SECRET[:3]}\n".encode(), "has columns that the files before it lack, the first is column 3"),
        (f"Bo,{SECRET}\n".encode(), "column 2 of memory:///b.csv is named by a value"),
        (b"", "line 1 of memory:///b.csv is empty"),
        (None, "memory:///b.csv cannot be opened: FileNotFoundError"),
    ],
)
def test_a_later_file_that_is_another_ends_the_rows(store: Any, second: bytes | None, told: str) -> None:
    store.pipe("/a.csv", GOOD)
    store.pipe("/b.csv", second or b"")
    with rows_of_files(store, "/*.csv", FileForm(), origin="") as source:
        if second is None:
            store.rm("/b.csv")
        assert next(source) == {"id": "1", "name": "A"}
        with pytest.raises(SourceError) as caught:
            next(source)
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


class Storage(MemoryFileSystem):  # type: ignore[misc]  # untyped
    """A storage that does what a test wants when it is asked."""

    def __init__(self, **does: Any) -> None:
        super().__init__()
        self.does = does

    def open(self, *given: Any, **options: Any) -> Any:
        return self.does["open"]() if "open" in self.does else super().open(*given, **options)

    def glob(self, *given: Any, **options: Any) -> Any:
        return self.does["glob"]() if "glob" in self.does else super().glob(*given, **options)


class DeniedError(Exception):
    """As botocore's: no OSError."""


def deny() -> None:
    raise DeniedError("no right to list")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("glob", "path 's3://b/*' through connection 'lake' cannot be listed: "),
        ("open", "memory:///a.csv cannot be opened: "),
    ],
)
def test_what_a_storage_raises_is_told_with_its_class(store: Any, asked: str, told: str) -> None:
    store.pipe("/a.csv", GOOD)
    with pytest.raises(SourceError) as caught:
        rows_of_files(
            Storage(skip_instance_cache=True, **{asked: deny}),
            "/*",
            FileForm(),
            origin="path 's3://b/*' through connection 'lake'",
        )
    assert str(caught.value).startswith(told)
    assert str(caught.value).endswith("DeniedError: no right to list")


def test_a_storage_that_hangs_is_left(store: Any) -> None:
    store.pipe("/a.csv", GOOD)
    never = threading.Event()
    begun = time.monotonic()
    with pytest.raises(InterruptedPushError):
        rows_of_files(
            Storage(skip_instance_cache=True, open=lambda: never.wait(60)),
            "/*",
            FileForm(),
            origin="",
            stopping=lambda: time.monotonic() > begun + 0.2,
        )
    assert time.monotonic() < begun + 5
    never.set()


def test_files_are_closed_however_the_reading_ends(store: Any) -> None:
    store.pipe({"/a.csv": GOOD, "/b.csv": GOOD})
    files = [io.BytesIO(GOOD), io.BytesIO(b"id,name\n" + b"1,A\n" * (2 * ROWS_AT_ONCE))]
    left = iter(files)
    with rows_of_files(
        Storage(skip_instance_cache=True, open=lambda: next(left)), "/*", FileForm(), origin=""
    ) as source:
        next(source)
        next(source)
        assert [file.closed for file in files] == [True, False]
    assert [file.closed for file in files] == [True, True]
