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
