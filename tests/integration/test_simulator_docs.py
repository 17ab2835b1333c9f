"""What docs/testing.md and docs/simulator.md show is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE, TESTING = ((ROOT / "docs" / name).read_text("utf-8") for name in ("simulator.md", "testing.md"))


def test_the_shown_tests_of_a_users_dag_pass(tmp_path: Path) -> None:
    files = dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", TESTING, re.MULTILINE | re.DOTALL))
    assert set(files) == {"conftest.py", "dags/signups.py", "test_signups.py"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "."]
    environment = {**kept, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": ""}
    told = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110
    )
    assert told.returncode == 0, told.stdout[-3000:]
    assert "4 passed" in told.stdout


def test_the_shown_options_are_those_that_exist() -> None:
    from airflow_provider_contacts.simulator.__main__ import parser

    options = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert options == {name for action in parser()._actions for name in action.option_strings if len(name) > 2} - {
        "--help"
    }
