"""The rows of a run as one object: what is in it, and that it is there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.reports.shapes import RecordRow
from airflow_provider_contacts.ledgers.sql import ddl, tables
from airflow_provider_contacts.outcome import RecordError, digest_of
from airflow_provider_contacts.task.export import export_rows, folder_at
from airflow_provider_contacts.task.export_formats import COLUMNS, PAYLOADS, ROWS_AT_ONCE, Form
from tests.support.exports import read

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)
SYNC, RUN = "crm/push@dex:ä b", "crm/scheduled__2026-01-31T00:00:00+00:00/push/-1"
PLACE = "crm%2Fpush%40dex%3A%C3%A4%20b/crm%2Fscheduled__2026-01-31T00%3A00%3A00%2B00%3A00%2Fpush%2F-1"


def row(number: int = 1, **changes: Any) -> RecordRow:
    nothing = dict.fromkeys(one.name for one in fields(RecordRow))
    key = f"p{number}@example.com"
    known = {"sync_id": SYNC, "record_identifier": key, "digest": digest_of(key), "errors": (), "attempts": number}
    return RecordRow(**{**nothing, **known, "batch_started_at": NOW, **changes})


BAD = row(
    2,
    status_message='=1+1, "x"\nü\rz',
    record_payload='{"a": 1}',
    errors=(RecordError("taken", None, "is\u2028taken"),),
    row_index=2**40,
)
FORMS = pytest.mark.parametrize("file_format", ["parquet", "ndjson", "csv"])


def moment(found: datetime | str) -> datetime:
    return found if isinstance(found, datetime) else datetime.fromisoformat(found)


@FORMS
def test_rows_are_written(file_format: Any, tmp_path: Path) -> None:
    form = Form(file_format=file_format, payloads=True)
    begun = datetime.now(UTC)
    done = export_rows([row(), BAD], folder_at(str(tmp_path / "new")), form, sync_id=SYNC, sync_run_id=RUN)
    path = tmp_path / "new" / f"{PLACE}.{file_format}"
    assert (done.path, done.num_rows) == (str(path), 2)
    first, second = read(path)
    assert list(first) == list(COLUMNS)
    assert first["record_identifier"] == "p1@example.com"
    assert second["status_message"] == BAD.status_message
    assert json.loads(second["errors"]) == [{"code": "taken", "field": None, "message": "is\u2028taken"}]
    assert (int(second["attempts"]), int(second["row_index"])) == (2, 2**40)
    assert moment(first["batch_started_at"]) == NOW
    assert begun <= moment(first["exported_at"]) <= begun + timedelta(minutes=1)


def test_the_columns_are_the_views() -> None:
    view = ddl.view_columns(tables.build("contact_outcomes", "postgresql"))
    assert [*view, "exported_at"] == list(COLUMNS)
    assert set(COLUMNS) > PAYLOADS


@pytest.mark.parametrize("rows", [[], [row()], [row(n) for n in range(ROWS_AT_ONCE + 1)]], ids=len)
def test_types_of_parquet_do_not_depend_on_the_rows(rows: list[RecordRow], tmp_path: Path) -> None:
    from pyarrow.parquet import ParquetFile

    export_rows(rows, folder_at(str(tmp_path)), Form(payloads=True), sync_id=SYNC, sync_run_id=RUN)
    found = ParquetFile(tmp_path / f"{PLACE}.parquet")
    kinds = {"text": "string", "number": "int64", "moment": "timestamp[us, tz=UTC]"}
    assert {one.name: str(one.type) for one in found.schema_arrow} == {name: kinds[COLUMNS[name]] for name in COLUMNS}
    assert found.metadata.num_rows == len(rows)
    assert found.num_row_groups == -(-len(rows) // ROWS_AT_ONCE)


@FORMS
def test_what_was_not_asked_for_is_not_there(file_format: Any, tmp_path: Path) -> None:
    form = Form(file_format=file_format, identifiers="digest")
    export_rows([BAD], folder_at(str(tmp_path)), form, sync_id=SYNC, sync_run_id=RUN)
    path = tmp_path / f"{PLACE}.{file_format}"
    (found,) = read(path)
    assert list(found) == [name for name in COLUMNS if name not in PAYLOADS]
    assert found["record_identifier"] == digest_of("p2@example.com")
    assert b"example.com" not in path.read_bytes()


def interrupted() -> Iterator[RecordRow]:
    yield from map(row, range(ROWS_AT_ONCE + 1))
    raise KeyboardInterrupt


@FORMS
def test_what_is_interrupted_leaves_what_was_there(file_format: Any, tmp_path: Path) -> None:
    where: dict[str, Any] = {"folder": folder_at(tmp_path.as_uri()), "form": Form(file_format=file_format)}
    for rows, wanted in ((interrupted(), None), ([row()], 1), (interrupted(), 1), ([row(), BAD], 2), ([], 0)):
        if isinstance(rows, Iterator):
            with pytest.raises(KeyboardInterrupt):
                export_rows(rows, **where, sync_id=SYNC, sync_run_id=RUN)
        else:
            export_rows(rows, **where, sync_id=SYNC, sync_run_id=RUN)
        files = [one for one in tmp_path.rglob("*") if one.is_file()]
        assert [len(read(one)) for one in files] == ([] if wanted is None else [wanted])


@pytest.mark.parametrize("name", [".", "..", "a/../b", "%", "/", "a?b#c", "_skipped", "ü" * 255])
def test_every_id_is_one_part_of_the_path(name: str, tmp_path: Path) -> None:
    export_rows([row()], folder_at(str(tmp_path)), Form(file_format="csv"), sync_id=name, sync_run_id=name)
    (path,) = tmp_path.glob("*/*")
    assert path.parent.parent == tmp_path
    assert (path.name[0] in "_.", path.parent.name[0] in "_.") == (False, False)


def test_another_storage_takes_the_same() -> None:
    store = MemoryFileSystem()
    attach("memory", fs=store)
    done = export_rows([row()], folder_at("memory://lake/contacts"), Form(), sync_id="s", sync_run_id="r")
    assert done.path == "memory://lake/contacts/s/r.parquet"
    assert store.find("/lake") == ["/lake/contacts/s/r.parquet"]


def test_parquet_needs_its_library(tmp_path: Path) -> None:
    with (
        patch.dict("sys.modules", {"pyarrow": None}),
        pytest.raises(ConfigError, match=r"install airflow-provider-contacts\[parquet\], or"),
    ):
        export_rows([row()], folder_at(str(tmp_path)), Form(), sync_id="s", sync_run_id="r")
    assert list(tmp_path.glob("*/*")) == []
