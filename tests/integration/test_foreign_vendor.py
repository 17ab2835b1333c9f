"""A vendor of another distribution: installed beside ours, described to Airflow, and pushed to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest

from tests.integration.test_provider import SCHEMA

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = ROOT / "tests" / "foreign_vendor"


def run(place: Path, *arguments: str) -> Any:
    """Run Python beside the installed distribution, and return the last line that it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(place)]), "AIRFLOW_HOME": str(place)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the distribution into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    where = ["--python", sys.executable, "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "uv", *install, *where, str(FOREIGN)], check=True, timeout=120)
    return folder


def test_it_is_found_described_and_pushed_to(place: Path) -> None:
    found = run(place, str(FOREIGN / "push.py"))
    assert found["exchanges"] == 3
    assert found["foreign"] == ["acme"]
    assert "acme" not in found["ours"]
    assert found["loaded"]
    # Airflow resolves type and hook, and so do we.
    assert found["known"] == ["acme_contacts.hooks.AcmeHook", "acme-contacts"]
    assert found["hook"] == "AcmeHook"
    assert found["works"] == [True, "Acme accepts the credential"]
    assert found["received"] == [["/folders/f1/people", {"people": [{"name": "Ann Ames"}, {"name": "Lost"}]}]]
    counts = {name: found["summary"][f"num_{name}"] for name in ("succeeded", "unknown", "invalid")}
    assert counts == dict.fromkeys(counts, 1)
    assert found["state"] == "TaskInstanceState.SUCCESS"


def test_its_form_is_what_airflow_wants(place: Path) -> None:
    code = "import json; from acme_contacts.provider_info import get_provider_info as info; print(json.dumps(info()))"
    info = run(place, "-c", code)
    jsonschema.validate(info, json.loads((SCHEMA / "provider_info.schema.json").read_text()))
    [described] = info["connection-types"]
    assert next(iter(described["conn-fields"])) == "folder_id"
    assert described["conn-fields"]["folder_id"]["label"] == "Folder ID (required, here or on the task)"
    assert described["conn-fields"]["region"] == {
        "label": "Region",
        "description": "Where the account is. Default: eu",
        "schema": {"type": ["string", "null"], "enum": ["eu", "us"], "default": "eu"},
    }
    assert described["ui-field-behaviour"]["placeholders"] == {"host": "https://eu.acme.example", "password": "acme_…"}
