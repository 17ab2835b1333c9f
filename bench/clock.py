"""The clock inside a measured process: it says that it is ready, waits for the word, works, and says what it took.

What a program imports before it is ready does not count; what it imports while it works does.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.job import Job

READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What the work took.

    :param wall: seconds.
    :param cpu: seconds of user and system, of this process and of those it has waited for.
    :param peak: most resident memory of this process in its life, bytes.
    :param says: the program's own word for how it ended.
    """

    wall: float
    cpu: float
    peak: int
    says: str


def timed(prepare: Callable[[Job], Callable[[], str]]) -> None:
    """Be the process.

    :param prepare: imports what is needed, and returns the work; that raises if it did not succeed.
    """
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print belongs into the log
    work = prepare(Job.of_json(Path(sys.argv[1]).read_text()))
    os.write(answers, f"{READY}\n".encode())
    sys.stdin.readline()
    cpu, began = used(), time.perf_counter()
    says = work()
    wall = time.perf_counter() - began
    took = Took(wall=wall, cpu=used() - cpu, peak=peak(), says=says)
    os.write(answers, f"{json.dumps(asdict(took))}\n".encode())


def used() -> float:
    """Return the seconds of CPU used so far."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def peak() -> int:
    """Return the most resident memory so far, in bytes.

    ``ru_maxrss`` would do but for one thing: it begins with that of the parent.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
