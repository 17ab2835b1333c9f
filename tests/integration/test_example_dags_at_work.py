"""The example DAGs that take more than one process, in a whole Airflow, against the simulator and a small warehouse."""

from __future__ import annotations

import faulthandler
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.server import running
from demo import make_contacts
from tests.support.servers import Postgres
from tests.support.whole_airflow import WholeAirflow, running_airflow

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
DAGS = [EXAMPLES / f"example_{name}.py" for name in ("sharded", "approval", "dex", "follow_up")]
ROWS, RATE = 2_000, 3


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is."""

    airflow: WholeAirflow
    simulator: Simulator
    warehouse: Path
    outcomes: Postgres

    def keys(self) -> Counter[str | None]:
        """Return the keys of the warehouse, and how many rows have each."""
        with closing(sqlite3.connect(self.warehouse)) as connection:
            return Counter(key for (key,) in connection.execute("SELECT contact_id FROM contacts"))

    def rows(self, where: str) -> list[dict[str, Any]]:
        """Return rows of the outcome table."""
        with psycopg.connect(
            host=str(self.outcomes.folder), user="postgres", dbname="outcomes", row_factory=psycopg.rows.dict_row
        ) as connection:
            return connection.execute(f"SELECT * FROM contact_outcomes WHERE {where}".encode()).fetchall()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("airflow")
    warehouse = folder / "warehouse.db"
    make_contacts.write(warehouse, ROWS, 1)
    with psycopg.connect(host=str(postgres.folder), user="postgres", autocommit=True) as connection:
        for name in ("airflow", "outcomes"):
            connection.execute(f"CREATE DATABASE {name}".encode())
    simulator = Simulator()
    with running(simulator) as url:
        connections: dict[str, Any] = {f"{name}_default": one for name, one in simulator.connections(url).items()}
        connections["talkdesk_default"]["extra"] |= {"requests_per_second": RATE, "rate_limit_conn_id": "outcomes"}
        connections |= {
            "warehouse": {"conn_type": "sqlite", "host": str(warehouse)},
            "outcomes": postgres.connection(database="outcomes"),
        }
        with running_airflow(folder, postgres, DAGS, connections) as airflow:
            # The time that a test may take begins here: processes of our own outlive a pytest that ends itself.
            faulthandler.dump_traceback_later(120, exit=True)
            yield Stage(airflow, simulator, warehouse, postgres)


def test_a_sharded_push_loses_no_row_and_keeps_the_rate(stage: Stage) -> None:
    airflow, talkdesk = stage.airflow, stage.simulator.talkdesk
    airflow.trigger("example_sharded", "one")
    assert airflow.state("example_sharded", "one") == "success"
    summaries = [airflow.returned("example_sharded", "one", "push", shard) for shard in range(4)]
    keys = stage.keys()
    assert keys[None] > 1
    assert sum(one["num_planned"] for one in summaries) == ROWS
    assert min(one["num_planned"] for one in summaries) > ROWS / 5
    assert summaries[0]["error_codes"]["missing_key"] == keys.pop(None)
    assert len({one["sync_id"] for one in summaries}) == 1
    # One row a key, and one contact a delivered row.
    rows = {row["record_identifier"]: row for row in stage.rows(f"sync_id = '{summaries[0]['sync_id']}'")}
    assert {key for key in rows if not key.startswith("sha256:")} == set(keys)
    statuses = Counter(row["status"] for row in rows.values())
    assert statuses["succeeded"] == talkdesk.counts["stored"] > ROWS / 2
    assert set(statuses) <= {"succeeded", "rejected", "invalid"}
    assert {row["map_index"] for row in rows.values()} == {0, 1, 2, 3}
    moments = sorted(request.at for request in talkdesk.requests if request.kind == "write")
    assert moments[-1] - moments[0] > (len(moments) - 1) / RATE - 0.5


def answer(stage: Stage, run_id: str, choice: str) -> dict[str, Any]:
    """Answer the question of a run as a person does, and return what was asked."""
    task = f"dags/example_approval/dagRuns/{run_id}/taskInstances/approval"
    stage.airflow.wait_for(task, state={"awaiting_input", "deferred"})
    # A person is not faster than the scheduler, which takes a task that goes on before its worker is gone for broken.
    stage.airflow.wait_for_log(f"TaskInstance Finished: dag_id=example_approval, task_id=approval, run_id={run_id},")
    asked = stage.airflow.ask(f"{task}/-1/hitlDetails")
    stage.airflow.ask(f"{task}/-1/hitlDetails", {"chosen_options": [choice], "params_input": {}}, "PATCH")
    return asked


def test_nothing_is_pushed_before_a_person_says_yes(stage: Stage) -> None:
    airflow, intermezzo = stage.airflow, stage.simulator.intermezzo
    for run_id in ("no", "yes"):
        airflow.trigger("example_approval", run_id)
    asked = answer(stage, "no", "Reject")
    plan = airflow.returned("example_approval", "no", "plan")
    assert asked["subject"] == f"Push {plan['num_to_send']} contacts?"
    assert f"({plan['num_new']} of them new) in {plan['num_requests']} requests" in asked["body"]
    assert airflow.state("example_approval", "no") == "success"
    assert airflow.task_states("example_approval", "no")["push"] == "skipped"
    assert intermezzo.counts["write"] == 0
    answer(stage, "yes", "Approve")
    assert airflow.state("example_approval", "yes") == "success"
    summary = airflow.returned("example_approval", "yes", "push")
    assert summary["num_planned"] == plan["num_planned"]
    assert summary["num_succeeded"] + summary["num_rejected"] == plan["num_to_send"]
    statuses = Counter(row["status"] for row in stage.rows("sync_id = 'example_approval'"))
    assert statuses["succeeded"] == summary["num_succeeded"] == intermezzo.counts["stored"] > ROWS / 2


def ids_written(stage: Stage, runs: int) -> list[tuple[str, str]]:
    """Wait for so many runs of the follow-up, and return what the warehouse has."""
    path = "dags/example_follow_up/dagRuns"
    stage.airflow.wait_for(path, total_entries={runs})
    for run in stage.airflow.ask(path)["dag_runs"]:
        assert stage.airflow.state("example_follow_up", run["dag_run_id"]) == "success"
    with closing(sqlite3.connect(stage.warehouse)) as connection:
        return connection.execute("SELECT contact_id, dex_id FROM dex_ids ORDER BY contact_id").fetchall()


def test_a_push_that_succeeds_starts_its_follow_up(stage: Stage) -> None:
    airflow, dex = stage.airflow, stage.simulator.dex
    with closing(sqlite3.connect(stage.warehouse)) as connection:
        connection.execute("CREATE TABLE dex_ids (contact_id VARCHAR(255) PRIMARY KEY, dex_id VARCHAR(255))")
    airflow.trigger("example_dex", "one")
    assert airflow.state("example_dex", "one") == "success"
    written = ids_written(stage, 1)
    delivered = stage.rows("destination = 'dex' AND status = 'succeeded'")
    assert written == sorted((row["record_identifier"], row["destination_record_id"]) for row in delivered)
    assert len(written) == dex.counts["stored"] > ROWS / 2
    (run,) = airflow.ask("dags/example_follow_up/dagRuns")["dag_runs"]
    assert airflow.returned("example_follow_up", run["dag_run_id"], "write_ids") == len(written), "no event twice"
