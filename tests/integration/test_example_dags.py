"""Every example DAG is run by Airflow against the simulator and a small warehouse, twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.outcome import digest_of
from demo.airflow_home import load, returned_by
from tests.support.airflow_fixtures import RunDag, SetConnections
from tests.support.pushing import CALLS, SUM, World, callees, push

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "example_dags").glob("*.py"))
WITH_TABLE = [f"example_{name}" for name in vendors.names()]
ROWS = 200


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("warehouse") / "warehouse.db"
    script = ROOT / "demo" / "make_contacts.py"
    subprocess.run([sys.executable, script, "--out", file, "--rows", str(ROWS)], check=True, capture_output=True)
    return file


def test_every_vendor_has_its_example() -> None:
    assert {file.stem for file in FILES} >= {*WITH_TABLE, "example_upstream", "example_replay"}


def test_all_examples_are_found_without_an_error(airflow_db: Path) -> None:  # noqa: ARG001  # its database is needed
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "example_dags"), bundle_name="testing")
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    assert set(bag.dag_ids) == {file.stem for file in FILES}
    assert all(task.retries == 3 for dag in bag.dags.values() for task in dag.tasks)


@pytest.mark.parametrize("dag_id", WITH_TABLE)
def test_an_example_runs_and_sends_nothing_twice(
    dag_id: str, warehouse: Path, world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    simulator, vendor = world.simulator, dag_id.removeprefix("example_")
    world.connect("warehouse", host=str(warehouse))
    set_connections(world.api.connections)
    dag = load(ROOT / "example_dags" / f"{dag_id}.py")
    run = run_dag(dag)
    assert run.state == "success"
    summary = returned_by(run, "push")
    assert summary["num_planned"] == sum(summary[name] for name in SUM) == ROWS
    assert summary["num_succeeded"] == simulator.vendors[vendor].counts["stored"] > ROWS / 2
    rows = Counter(world.statuses().values())
    counted = {name: summary[f"num_{name}"] for name in ("succeeded", "rejected", "invalid", "failed", "unknown")}
    assert {name: rows[name] for name in counted} == counted
    # Again: what is there is skipped.
    stored = simulator.vendors[vendor].counts["stored"]
    second = run_dag(dag)
    assert second.state == "success"
    again = returned_by(second, "push")
    assert again["num_succeeded"] == 0
    # A second copy of a record that is there already is skipped, too.
    there = [one["num_skipped"] + one["num_succeeded"] + one["num_duplicate"] for one in (summary, again)]
    assert there[0] == there[1]
    assert simulator.vendors[vendor].counts["stored"] == stored


def test_the_upstream_example_hands_its_outcomes_on(
    world: World,
    run_dag: RunDag,
    set_connections: SetConnections,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    set_connections(world.api.connections)
    dag = load(ROOT / "example_dags" / "example_upstream.py")
    for report in ({"succeeded": 2, "invalid": 1}, {"skipped": 2, "invalid": 1}):
        run = run_dag(dag)
        assert run.state == "success"
        assert returned_by(run, "report") == report
    assert world.simulator.dex.counts["stored"] == 2
    logged = [*caplog.messages, *capfd.readouterr()]
    assert any("signups" in text for text in logged)
    assert [text for text in logged if "ada@example.com" in text] == [], "nobody is in a log"


def doubts(world: World) -> None:
    """Leave c0, c1 and c2 in doubt under the sync_id ``s``."""
    world.simulator.set("talkdesk.store_then_drop", "next:1")
    world.done(push(callees(3), **CALLS, sync_id="s", max_unknown=3))
    world.simulator.reset(knobs=False)


@pytest.mark.parametrize(
    ("given", "settled", "statuses"),
    [
        ({"found": {"c0": "tk-1"}, "missing": ["c1"]}, [1, 1], ["succeeded", "succeeded", "unknown"]),
        ({"found": {"c0": "tk-1"}}, [1, 0], ["succeeded", "unknown", "unknown"]),
        ({"missing": ["c1"]}, [0, 1], ["unknown", "succeeded", "unknown"]),
        ({"missing": [digest_of("c1")], "found": None}, [0, 1], ["unknown", "succeeded", "unknown"]),
        ({}, [0, 0], ["unknown", "unknown", "unknown"]),
    ],
    ids=["both", "found", "missing", "digest", "nothing"],
)
def test_the_replay_example_settles_either_kind_and_sends_again(  # noqa: PLR0917  # three fixtures and a case
    given: dict[str, Any],
    settled: list[int],
    statuses: list[str],
    world: World,
    run_dag: RunDag,
    set_connections: SetConnections,
) -> None:
    set_connections(world.api.connections)
    doubts(world)
    dag = load(ROOT / "example_dags" / "example_replay.py")
    run = run_dag(dag, run_conf={"sync_id": "s", "settled_by": "ada", **given})
    assert run.state == "success"
    assert [returned_by(run, name)["num_settled"] for name in ("found", "missing")] == settled
    assert returned_by(run, "replay")["num_succeeded"] == settled[1]
    assert world.statuses() == dict(zip(["c0", "c1", "c2"], statuses, strict=True))
    assert [one["first_name"] for one in world.stored("talkdesk")] == ["First1"] * settled[1]


def test_the_replay_examples_parameters_are_described() -> None:
    dag = load(ROOT / "example_dags" / "example_replay.py")
    described = {name: dag.params.get_param(name).description for name in dag.params}
    assert set(described) == {"sync_id", "found", "missing", "settled_by"}
    assert all(described.values())
