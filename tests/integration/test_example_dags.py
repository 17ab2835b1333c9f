"""Every example DAG is run by Airflow against the simulator and a small warehouse, twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import AssetAlias

from airflow_provider_contacts import vendors
from airflow_provider_contacts.outcome import digest_of
from demo.airflow_home import load, returned_by
from tests.support.airflow_fixtures import RunDag, SetConnections
from tests.support.by_hand import change
from tests.support.mailbox import running_mailbox
from tests.support.pushing import CALLS, SUM, World, callees, people, push

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


def test_the_decorators_example_pushes_what_its_function_yields(
    world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    set_connections(world.api.connections)
    dag = load(ROOT / "example_dags" / "example_decorator.py")
    for runs in (1, 2):
        run = run_dag(dag)
        assert run.state == "success"
        assert returned_by(run, "push")["num_succeeded"] == 30
        assert world.simulator.dex.counts["stored"] == 30 * runs, "each run has its own sign-ups"


def test_the_files_example_reads_each_file_once(world: World, run_dag: RunDag, set_connections: SetConnections) -> None:
    set_connections(world.api.connections)
    head, line = "customer;surname;mail;starred;note\n", "00{0};Lee;lee{0}@example.com;true;x\n"
    dag = load(ROOT / "example_dags" / "example_files.py")
    for runs in (1, 2):
        (world.folder / f"{runs}.csv").write_text(head + line.format(2 * runs) + line.format(2 * runs + 1))
        run = run_dag(dag, run_conf={"path": str(world.folder / "*.csv")})
        assert run.state == "success"
        assert returned_by(run, "push")["num_skipped"] == 2 * runs - 2
    assert set(world.statuses()) == {"002", "003", "004", "005"}
    assert all(one["starred"] is True for one in world.stored("dex"))


def test_the_sharded_example_loses_no_row_and_sends_none_twice_when_its_ranges_move(
    warehouse: Path, world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    file = world.folder / "warehouse.db"
    shutil.copy(warehouse, file)
    set_connections(world.api.connections)
    dag = load(ROOT / "example_dags" / "example_sharded.py")
    without = world.one("SELECT COUNT(*) FROM contacts WHERE contact_id IS NULL", file.name)
    world.query("UPDATE contacts SET contact_id = NULL WHERE contact_id = 'C000100'", file.name)
    keys = {row["contact_id"] for row in world.query("SELECT DISTINCT contact_id FROM contacts", file.name)} - {None}
    assert run_dag(dag).state == "success"
    planned = world.query("SELECT map_index, num_planned FROM contact_outcomes_runs ORDER BY map_index")
    assert [one["map_index"] for one in planned] == [0, 1, 2, 3]
    assert sum(one["num_planned"] for one in planned) == ROWS
    assert min(one["num_planned"] for one in planned) > ROWS / 5
    statuses = world.statuses()
    assert {key for key in statuses if not key.startswith("sha256:")} == keys
    assert world.one("SELECT COUNT(*) FROM contact_outcomes WHERE error_code = 'missing_key'") == without + 1
    stored = Counter(statuses.values())["succeeded"]
    assert stored == len(world.stored("talkdesk")) > ROWS / 2
    # Fifty new keys before the others: each range begins elsewhere.
    world.query(
        """INSERT INTO contacts (contact_id, first_name, last_name, phone)
        SELECT 'A' || contact_id, 'New', last_name, phone FROM contacts WHERE contact_id < 'C000051'""",
        file.name,
    )
    assert run_dag(dag).state == "success"
    assert sum(one["first_name"] == "New" for one in world.stored("talkdesk")) == len(world.stored("talkdesk")) - stored
    assert len(world.stored("talkdesk")) > stored + 40
    delivered = "SELECT COUNT(DISTINCT destination_record_id) FROM contact_outcomes WHERE status = 'succeeded'"
    assert world.one(delivered) == len(world.stored("talkdesk"))


def test_the_alerts_example_writes_a_mail_of_losses_and_of_nothing_else(
    world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    world.fill([{"contact_id": f"c{n}", "first_name": "Ada", "last_name": f"Person{n}", "email": f"p{n}@example.com"}
                for n in range(40)])  # fmt: skip
    world.query("ALTER TABLE people RENAME TO contacts", "warehouse.db")
    with running_mailbox() as mailbox:
        set_connections({**world.api.connections, "smtp_default": mailbox.connection})

        def ended() -> tuple[str, int]:
            # A file is read anew for each task: a notifier renders itself in its place.
            dag = load(ROOT / "example_dags" / "example_alerts.py")
            dag.get_task("push").retries = 0  # every try is the last
            return str(run_dag(dag).state), len(world.stored())

        # Two of forty have no address of a kind: within the tolerance.
        world.query("UPDATE contacts SET email = 'nowhere' WHERE contact_id IN ('c3', 'c4')", "warehouse.db")
        world.set(http_401="always")
        assert ended() == ("failed", 0)
        (failed,) = mailbox.take()
        world.set(http_401="never")
        assert ended() == ("success", 38)
        (partial,) = mailbox.take()
        world.query("UPDATE contacts SET email = 'p3@example.com' WHERE contact_id IN ('c3', 'c4')", "warehouse.db")
        assert ended() == ("success", 40)
        assert mailbox.take() == [], "nothing is lost"
        world.query("ALTER TABLE contacts RENAME COLUMN last_name TO surname", "warehouse.db")
        assert ended() == ("failed", 40)
        (broken,) = mailbox.take()
    assert [mail["subject"] for mail in (failed, partial, broken)] == [
        "example_alerts: push aborted, 40 of 40 contacts not delivered",
        "example_alerts: push partial, 2 of 40 contacts not delivered",
        "example_alerts: push aborted, 0 of 0 contacts not delivered",
    ]
    texts = [mail.get_body().get_content() for mail in (failed, partial, broken)]  # type: ignore[union-attr]
    assert "<li>failed: 38</li>" in texts[0]
    assert "<li>succeeded: 38</li>" in texts[1]
    assert "<li>invalid_email: 2</li>" in texts[1]
    assert [text for text in texts if "Person" in text or "example.com" in text or "nowhere" in text] == []


def doubts(world: World) -> None:
    """Leave c0, c1 and c2 in doubt under the sync_id ``s``."""
    world.simulator.set("talkdesk.store_then_drop", "next:1")
    world.done(push(callees(3), **CALLS, sync_id="s", max_unknown=3))
    world.simulator.reset(knobs=False)


@pytest.mark.parametrize(
    ("given", "payloads", "records"),
    [
        ({}, 2, 0),
        ({"dry_run": True}, 2, 0),
        ({"older_than": "365d"}, 0, 0),
        ({"older_than": "12w", "sync_ids": ["s"]}, 0, 3),
        ({"forget": [digest_of("p0")]}, 2, 0),
    ],
    ids=["usual", "dry", "later", "whole", "forget"],
)
def test_the_keeping_example_prunes(  # noqa: PLR0917  # three fixtures and a case
    given: dict[str, Any],
    payloads: int,
    records: int,
    world: World,
    run_dag: RunDag,
    set_connections: SetConnections,
) -> None:
    set_connections(world.api.connections)
    world.set(reject="first_name~First[12]")
    world.done(push(people(3), sync_id="s", max_rejected=2))
    old = "datetime('now', '-100 days')"
    change(world, batch_completed_at=old)
    world.query(f"UPDATE contact_outcomes_runs SET updated_at = {old}, completed_at = {old}")
    run = run_dag(load(ROOT / "example_dags" / "example_keeping.py"), run_conf=given)
    assert run.state == "success"
    found = returned_by(run, "prune")
    assert (found["num_payloads"], found["num_records"]) == (payloads, records)
    left = world.one("SELECT count(record_payload) FROM contact_outcomes")
    assert left == (0 if "dry_run" not in given and (payloads or records) else 2)
    assert len(world.statuses()) == 3 - records
    assert returned_by(run, "forget")["num_forgotten"] == len(given.get("forget", []))


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


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, set()),
        ({"statuses": None, "error_codes": []}, set()),
        ({"statuses": ["rejected"]}, {"First1", "First2"}),
        ({"statuses": ["rejected", "failed"], "error_codes": ["http_400", "X"]}, {"First1", "First2"}),
        ({"statuses": ["rejected"], "error_codes": ["another"]}, set()),
        ({"statuses": ["failed"], "error_codes": []}, set()),
    ],
)
def test_the_replay_example_sends_what_was_refused_by_the_connection_of_its_sync(
    given: dict[str, Any], sent: set[str], world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    set_connections(world.api.connections)
    world.set(reject="first_name~First[12]")
    sync_id = world.done(push(people(4), max_rejected=2))["sync_id"]
    world.set(reject="")
    world.simulator.reset(knobs=False)
    run = run_dag(load(ROOT / "example_dags" / "example_replay.py"), run_conf={"sync_id": sync_id, **given})
    assert run.state == "success"
    assert {one["first_name"] for one in world.stored("dex")} == sent


def test_the_replay_examples_parameters_are_described() -> None:
    dag = load(ROOT / "example_dags" / "example_replay.py")
    described = {name: dag.params.get_param(name).description for name in dag.params}
    assert set(described) == {"sync_id", "found", "missing", "settled_by", "statuses", "error_codes"}
    assert all(described.values())


def test_the_follow_up_example_copies_what_a_run_delivered_that_failed(
    world: World, set_connections: SetConnections
) -> None:
    world.query("CREATE TABLE dex_ids (contact_id VARCHAR(255) PRIMARY KEY, dex_id VARCHAR(255))", "warehouse.db")
    world.set(reject="first_name~First0")
    assert world.run(push(people(3), "example_dex"), run_id="one").state == "failed"
    world.set(reject="")
    world.done(push(people(3), "example_dex"), run_id="two")
    (told,) = world.api.states[-1]["outlet_events"]
    set_connections(world.api.connections)
    dag = load(ROOT / "example_dags" / "example_follow_up.py")
    event = SimpleNamespace(extra=told["extra"])
    write_ids: Any = dag.get_task("write_ids")
    count = write_ids.python_callable({AssetAlias(told["source_alias_name"]): [event, event]})
    written = world.query("SELECT contact_id, dex_id FROM dex_ids ORDER BY contact_id", "warehouse.db")
    delivered = world.query(
        "SELECT record_identifier AS contact_id, destination_record_id AS dex_id FROM contact_outcomes ORDER BY 1"
    )
    assert (count, written) == (3, delivered)


def test_the_export_example_writes_what_became_of_each_record(
    warehouse: Path, world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    import pandas as pd

    world.connect("warehouse", host=str(warehouse))
    set_connections(world.api.connections)
    run = run_dag(load(ROOT / "example_dags" / "example_export.py"), run_conf={"path": str(world.folder / "out")})
    assert run.state == "success"
    done = returned_by(run, "export")
    assert done["path"].startswith(str(world.folder / "out"))
    found = pd.read_parquet(done["path"])
    assert len(found) == done["num_rows"] == len(world.statuses())
    assert dict(zip(found["record_identifier"], found["status"], strict=True)) == world.statuses()
