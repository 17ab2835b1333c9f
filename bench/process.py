"""Measured processes: started, let go at the same time, and their figures with what the stub received meanwhile."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import PIPE

from bench.clock import READY, Took
from bench.job import Job
from campaigns.task import SEARCHED

MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
"""For all alike: glibc would map and unmap a client's receive buffer on every request, or not, as its luck is."""


LONGEST = 1800.0
"""Seconds after which a process counts as hanging."""


class BrokenError(Exception):
    """A measured process did not do its work; says which one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where processes run.

    :param folder: for their files and their logs.
    :param peers: Python of the peers' environment, ``None`` where there is none.
    """

    folder: Path
    peers: Path | None

    def interpreter(self, *, of_peers: bool) -> str:
        """Return the Python of a program."""
        if not of_peers:
            return sys.executable
        if self.peers is None:
            raise BrokenError("the peers' environment is missing: --peers")
        # Not resolved: the link is what makes it an environment of its own.
        return str(self.peers.absolute())

    @property
    def extra_path(self) -> str:
        """The folder of the peers' packages; empty where there is none."""
        found = self.peers and next(self.peers.parent.parent.glob("lib/python*/site-packages"), None)
        return str(found.absolute()) if found else ""

    def environment(self, home: str = "") -> dict[str, str]:
        """Return the environment of a process: a home of its own, and no word to anybody of how it is used.

        :param home: its folder.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "DLT"))}
        airflow = self.folder / "airflow"
        return kept | MALLOC | {
            "HOME": home or str(self.folder),
            "PYTHONPATH": SEARCHED,
            "AIRFLOW_HOME": str(airflow),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow / 'airflow.db'}",
            "DO_NOT_TRACK": "1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }  # fmt: skip


def run(place: Place, program: str, jobs: Sequence[Job], *, of_peers: bool) -> Took:
    """Run a process for every job, all at the same time, and return what they took together.

    Wall time is from the word to begin until the last one is done; CPU is the sum, peak memory the largest.

    :param program: name of a module.
    :raises BrokenError: if one of them fails.
    """
    starting = [partial(start, place, program, job, of_peers=of_peers) for job in jobs]
    said, wall = together(place.folder / "log", program, starting)
    took = [Took(**json.loads(line)) for line in said]
    return Took(
        wall=took[0].wall if len(took) == 1 else wall,
        cpu=sum(one.cpu for one in took),
        peak=max(one.peak for one in took),
        says=", ".join(dict.fromkeys(one.says for one in took)),
    )


def together(
    log: Path, name: str, starting: Iterable[Callable[[int], subprocess.Popen[str]]]
) -> tuple[list[str], float]:
    """Start processes one after another, let them go at the same time, and return what each says, and the seconds.

    :param starting: each starts a process, whose errors go to a file descriptor.
    :raises BrokenError: if one of them fails.
    """
    with ExitStack() as stack, log.open("ab") as errors:
        started: list[subprocess.Popen[str]] = []
        for one in starting:
            started.append(stack.enter_context(one(errors.fileno())))
            # What has said all that is expected of it has ended; what has not must not be waited for.
            stack.callback(started[-1].kill)
            if hear(started[-1]).strip() != READY:
                raise BrokenError(f"{name}: did not begin; the end of its log: {tail(log)}")
        began = time.perf_counter()
        for process in started:
            tell(process)
        said = [hear(process) for process in started]
        seconds = time.perf_counter() - began
    if not all(said):
        raise BrokenError(f"{name}: ended without a word; the end of its log: {tail(log)}")
    return said, seconds


def start(place: Place, program: str, job: Job, errors: int, *, of_peers: bool) -> subprocess.Popen[str]:
    """Start a process."""
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    file = Path(job.folder) / "job.json"
    file.write_text(job.to_json())
    return subprocess.Popen(
        [place.interpreter(of_peers=of_peers), "-P", "-m", program, str(file)],
        stdin=PIPE, stdout=PIPE, stderr=errors, text=True, cwd=job.folder, env=place.environment(job.folder),
    )  # fmt: skip


def hear(process: subprocess.Popen[str]) -> str:
    """Return the next line of a process, nothing if it has ended or hangs."""
    if process.stdout is None or not select.select([process.stdout], [], [], LONGEST)[0]:
        return ""
    return process.stdout.readline()


def tell(process: subprocess.Popen[str]) -> None:
    """Let a process begin."""
    if process.stdin:
        process.stdin.write("go\n")
        process.stdin.flush()


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
