"""Every example of docs/command_line.md."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_contacts.cli.definition import COMMANDS
from airflow_provider_contacts.cli.program import USAGE, main
from tests.support.pushing import CALLS, World, callees, push

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "command_line.md").read_text("utf-8")


def test_every_command_has_an_example_and_every_example_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    leads = [{**one, "key": key} for one, key in zip(callees(3), ("lead-17", "lead-18", "lead-19"), strict=True)]
    world.simulator.set("talkdesk.store_then_drop", "next:1")
    sync_id, run_id = "callbacks/push@talkdesk_default:0e1f7d32", "scheduled__2026-01-31T06:00:00+00:00"
    world.done(push(leads, "callbacks", **CALLS, sync_id=sync_id, max_unknown=3), run_id=run_id)
    connections = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in world.api.connections.items()}
    settings = {"AIRFLOW__CONTACTS__OUTCOMES_CONN_ID": "outcomes", "_AIRFLOW_PROCESS_CONTEXT": ""}
    for name, value in {**connections, **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)

    def ran(line: str) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO("lead-17\nlead-19\n"))
        return main(shlex.split(line))

    examples = re.findall(r"^airflow contacts (.+?)(?: < keys.txt)?$", PAGE, re.MULTILINE)
    assert {line.split()[0] for line in examples} == {command.name for command in COMMANDS}
    # One asks before it removes a whole sync, and no terminal is there.
    asking = [line for line in examples if line.startswith("prune") and "--dry-run" not in line]
    assert {line: ran(line) for line in examples} == {**dict.fromkeys(examples, 0), **dict.fromkeys(asking, USAGE)}
    found = world.statuses()
    assert sorted(found.values()) == ["failed", "failed", "succeeded"]
    assert all(name.startswith("forgotten:") for name in found)
