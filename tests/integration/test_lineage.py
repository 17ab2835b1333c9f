"""What OpenLineage is told, read from the file that its own client writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts.task.lineage import files_of
from tests.support.pushing import World, postgres_connection
from tests.support.servers import Postgres

pytest.importorskip("airflow.providers.openlineage")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def told(world: World, postgres: Postgres, tmp_path: Path) -> list[dict[str, Any]]:
    """Return the events of the tasks of ``lineage_run``, run by a process of its own."""
    import psycopg

    with closing(psycopg.connect(f"host={postgres.folder} user=postgres dbname=postgres", autocommit=True)) as database:
        database.execute("DROP SCHEMA IF EXISTS sales CASCADE")
        database.execute("CREATE SCHEMA sales")
        database.execute("CREATE TABLE sales.people AS SELECT 'p' || n AS key, 'First' AS first_name, "
                         "'p' || n || '@example.com' AS email FROM generate_series(1, 3) n")  # fmt: skip
    file = tmp_path / "events.jsonl"
    (tmp_path / "a.csv").write_text("key,first_name\nf1,personcanary\nf2,personcanary\n")
    warehouse = postgres_connection(postgres)
    known = {**world.api.connections, "warehouse": warehouse, "away": {**warehouse, "host": "127.0.0.1", "port": 1}}
    environment = {
        **os.environ,
        **{f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(dict(value)) for conn_id, value in known.items()},
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(file), "append": True}),
        "PYTHONPATH": str(ROOT),
        "FILES": str(tmp_path),
    }
    command = [sys.executable, "-m", "tests.support.lineage_run"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_lineage_arrives_and_names_nobody(told: list[dict[str, Any]], tmp_path: Path) -> None:
    found = {
        event["job"]["name"].removesuffix(".push"): event
        for event in told
        if event["eventType"] in {"COMPLETE", "FAIL"} and event["job"]["name"].endswith(".push")
    }
    types = {name: event["eventType"] for name, event in found.items()}
    assert types == {
        "listed": "COMPLETE",
        "queried": "COMPLETE",
        "planned": "COMPLETE",
        "read": "COMPLETE",
        "refused": "FAIL",
    }
    for name, count in {"listed": 1, "queried": 3, "read": 2, "refused": 0}.items():
        (output,) = found[name]["outputs"]
        assert (output["namespace"], output["name"]) == ("contacts://dex", "127.0.0.1")
        assert output["outputFacets"]["outputStatistics"]["rowCount"] == count
    (table,) = found["queried"]["inputs"]
    assert table["namespace"].startswith("postgres://")
    assert table["name"] == "postgres.sales.people"
    (folder,) = found["read"]["inputs"]
    assert (folder["namespace"], folder["name"]) == ("file", str(tmp_path))
    assert [found[name]["inputs"] for name in ("listed", "planned", "refused")] == [[], [], []]
    assert found["planned"]["outputs"] == []
    assert len(told) >= 8
    assert [event for event in told if "canary" in json.dumps(event)] == []


@pytest.mark.parametrize(
    ("path", "namespace", "name"),
    [
        ("/var/imports/a.csv", "file", "/var/imports/a.csv"),
        ("file:///var/imports/2026-*/a.csv", "file", "/var/imports"),
        ("s3://lake@bucket/people/a[0-9].csv", "s3://bucket", "people"),
        ("gs://bucket/*.csv", "gs://bucket", "/"),
    ],
)
def test_a_file_is_named_as_openlineage_names_it(path: str, namespace: str, name: str) -> None:
    (found,) = files_of(path)
    assert (found.namespace, found.name) == (namespace, name)
