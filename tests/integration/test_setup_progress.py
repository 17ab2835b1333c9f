from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def lasting(*command: str, every: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci" / "lasting", "it works", *command],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LASTING_EVERY": every},
        timeout=30,
    )


def test_a_command_that_lasts_is_named_again() -> None:
    told = lasting("sh", "-c", "sleep 1; echo done", every="0.1")
    lines = told.stdout.splitlines()
    assert lines[-1] == "done"
    assert len(lines) > 3
    assert all(re.fullmatch(r"   \.\.\. it works, [01] s", line) for line in lines[:-1])


def test_a_command_that_ends_at_once_is_not_waited_for_and_keeps_its_code() -> None:
    # Whoever still held the output open would let this run into its time-out.
    told = lasting("sh", "-c", "exit 7", every="60")
    assert (told.returncode, told.stdout) == (7, "")


def test_everything_that_setup_installs_says_so() -> None:
    text = (ROOT / "Makefile").read_text("utf-8").partition("\n$(TOOLS):")[2].partition("\n$(DISTRIBUTED):")[0]
    lines = [line for line in text.splitlines() if re.search(r"-m (pip|venv) ", line)]
    assert len(lines) == 5
    assert [line for line in lines if ".ci/lasting" not in line] == []
    script = (ROOT / ".ci" / "install").read_text("utf-8")
    assert script.count(".ci/lasting") == 2 == len(re.findall(r"\.ci/lasting .* install --quiet", script))
