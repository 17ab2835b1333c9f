"""Files pushed by a task as a worker runs it: what is sent, what a retry makes of them, and that nobody is named."""

from __future__ import annotations

import gzip
import json
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_contacts.operators import FilesToContactsOperator
from tests.airflow_harness import scope_of
from tests.support.pushing import TABLED, World, counts, file_push, people, sql_push

HEADER = "key,first_name,email\n"


def csv_of(count: int, start: int = 0) -> str:
    return HEADER + "".join(",".join(one.values()) + "\n" for one in people(count, start))


def test_the_rows_of_several_files_are_sent_in_their_order(world: World, tmp_path: Path) -> None:
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(csv_of(2, start=3).encode()))
    (tmp_path / "a.csv").write_text(csv_of(3))
    op = file_push(tmp_path / "*.csv*", xcom_outcomes="all")
    summary = world.done(op)
    assert [(one["row_index"], one["record_identifier"]) for one in summary["outcomes"]] == [
        (number, f"p{number}") for number in range(5)
    ]
    assert len(world.simulator.dex.stored) == 5
    # Another try, and another run, send nothing of it again.
    assert counts(world.done(op, run_id="next"), "planned", "skipped") == (5, 5)
    assert len(world.simulator.dex.stored) == 5


def test_a_dag_moves_from_a_query_to_files_without_sending_twice(world: World, tmp_path: Path) -> None:
    rows = [{**one, "key": number, "starred": 1, "birthday_year": None} for number, one in enumerate(people(3))]
    world.fill(rows)
    assert world.done(sql_push())["num_succeeded"] == 3
    columns = list(rows[0])
    lines = [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
    (tmp_path / "a.csv").write_text("\n".join([",".join(columns), *lines]))
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    for name in ("a.csv", "b.jsonl"):
        summary = world.done(file_push(tmp_path / name), run_id=name)
        # Not changed either: the payloads are the same to the byte.
        assert counts(summary, "planned", "skipped", "changed") == (3, 3, 0)


@pytest.mark.parametrize("sync_key", ["key", ["key", "first_name"]])
def test_the_day_on_which_pandas_writes_other_keys_sends_nobody_again(
    world: World, tmp_path: Path, sync_key: Any
) -> None:
    (tmp_path / "a.csv").write_text("key,first_name\n1,Ada\n2,Bo\nv1.0,Cy\n1.05,Di\n")
    assert world.done(file_push(tmp_path / "a.csv", sync_key=sync_key))["num_succeeded"] == 4
    (tmp_path / "b.csv").write_text("key,first_name\n1.0,Ada\n2.0,Bo\nv1.0,Cy\n1.05,Di\n,Ed\n1.2E+16,Flo\n1e+16,Gus\n")
    summary = world.done(file_push(tmp_path / "b.csv", sync_key=sync_key, max_rejected=5), run_id="next")
    assert summary["error_codes"] == {"invalid_key": 4, "missing_key": 1}
    assert (summary["num_skipped"], len(world.stored())) == (2, 4)


def test_what_was_read_before_a_broken_line_is_sent_and_the_retry_sends_the_rest(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(csv_of(3) + "p3,Ada Lovelace\n")
    op = file_push(file)
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "SourceError")
    assert f"line 5 of {file.as_uri()} ends a row of 2 cells, the first row has 3" in str(result.error)
    assert set(world.statuses().values()) == {"succeeded"}
    assert "Lovelace" not in caplog.text + str(result.error) + json.dumps(world.api.rendered[scope_of(op)])
    file.write_text(csv_of(4))
    assert counts(world.done(op, 2), "planned", "skipped", "delivered") == (4, 3, 4)
    assert len(world.simulator.dex.stored) == 4


@pytest.mark.parametrize(
    ("text", "parameters", "told"),
    [
        (None, {}, "a.csv' matches no file"),
        ("key,nick\n1,A\n", {}, "columns ['nick'] are no fields of Dex"),
        ("key,first_name\n1,A\n", {"path_conn_id": "nowhere"}, "path_conn_id: there is no connection 'nowhere'"),
        ("Ada,ada@example.com\n", {}, "column 2 of file://"),
    ],
)
def test_wrong_files_are_refused_before_anything_is_sent(
    world: World, tmp_path: Path, text: str | None, parameters: dict[str, Any], told: str
) -> None:
    if text is not None:
        (tmp_path / "a.csv").write_text(text)
    error = world.refused(file_push(tmp_path / "a.csv", **parameters))
    assert told in error
    assert "ada@" not in error
    assert world.simulator.dex.stored == []


def test_path_and_connection_are_templates_of_any_storage(world: World) -> None:
    store = MemoryFileSystem()
    attach("memory", conn_id="lake", fs=store)
    store.pipe("/lake/2026-01-02/a.csv", csv_of(2).encode())
    world.connect("lake", conn_type="aws")
    parameters = {**TABLED, "path": "memory://lake/{{ ds }}/*.csv", "path_conn_id": "{{ 'la' ~ 'ke' }}"}
    with DAG("d", schedule=None):
        op = FilesToContactsOperator(**parameters)
    assert world.done(op)["num_succeeded"] == 2
    store.rm("/lake/2026-01-02/a.csv")
    told = "path 'memory://lake/2026-01-02/*.csv' through connection 'lake' matches no file"
    assert told in world.refused(op, run_id="next")


def test_a_storage_that_hangs_ends_at_the_tasks_timeout(world: World) -> None:
    returns = threading.Event()

    class Hanging(MemoryFileSystem):  # type: ignore[misc]  # untyped
        def open(self, *_given: Any, **_options: Any) -> Any:
            returns.wait(60)

    MemoryFileSystem().pipe("/stuck/a.csv", csv_of(1).encode())
    attach("memory", conn_id="hanging", fs=Hanging(skip_instance_cache=True))
    world.connect("hanging", conn_type="aws")
    place: dict[str, Any] = {"path_conn_id": "hanging", "execution_timeout": timedelta(seconds=1)}
    begun = time.monotonic()
    result = world.run(file_push("memory://stuck/*.csv", **place))
    returns.set()
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "AirflowTaskTimeout")
    assert time.monotonic() < begun + 10
