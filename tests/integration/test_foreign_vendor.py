"""A vendor of another distribution: installed beside ours, described to Airflow, and pushed to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = ROOT / "tests" / "foreign_vendor"


def test_it_is_found_described_and_pushed_to(tmp_path: Path) -> None:
    install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    where = ["--python", sys.executable, "--target", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "uv", *install, *where, str(FOREIGN)], check=True, timeout=120)
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    environment = {**os.environ, "PYTHONPATH": paths, "AIRFLOW_HOME": str(tmp_path)}
    command = [sys.executable, str(FOREIGN / "push.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
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
