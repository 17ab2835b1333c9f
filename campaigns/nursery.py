"""Task processes that can be killed: a parent that has imported Airflow forks one for every try, as a worker does.

Run as ``python -m campaigns.nursery`` by :class:`Nursery`: reads one request a line (JSON), answers one line each.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import TracebackType
from typing import Any, Self

import airflow_provider_contacts
from campaigns.task import SEARCHED, Ended, Order, Steps, run_try

LONGEST_TRY = 300.0
"""Seconds after which a try that nobody kills counts as hanging."""

NEEDED = (
    "airflow.providers.common.sql.hooks.sql",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "tests.airflow_harness",
)

NEVER: Mapping[str, float] = {}


class Nursery:
    """Starts task processes, one at a time.

    :param folder: for logs, results, and Airflow's home.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        home = folder / "airflow"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
            "PYTHONPATH": SEARCHED,
            "TMPDIR": str(folder / "tmp"),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        }
        self._log = (folder / "tasks.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "campaigns.nursery", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment, cwd=folder,
        )  # fmt: skip

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it end."""
        with self._log:
            # Its standard input ends, and so does it.
            self._process.__exit__(kind, error, trace)

    def run(self, order: Order, kill: Mapping[str, float] = NEVER) -> Ended:
        """Run one try in a process of its own.

        :param kill: ``{"after": seconds}`` or ``{"step": number}``: when it dies by SIGKILL, if it is not over before.
        :raises RuntimeError: if the process ended in another way.
        """
        request = json.dumps({"order": order.to_json(), "kill": dict(kill)})
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the nursery has no pipes")
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"the task processes' parent has ended; see {self.folder / 'tasks.log'}")
        answer: dict[str, Any] = json.loads(said)
        if answer.pop("broken"):
            raise RuntimeError(f"a task process ended with {answer['error']}; see {self.folder / 'tasks.log'}")
        return Ended(**answer)


def serve(folder: Path) -> None:
    """Fork a task process for every line of standard input, and say how it ended."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what tasks print belongs into the log
    import_everything()
    for line in sys.stdin:
        request = json.loads(line)
        answer = one_try(Order.of_json(request["order"]), request["kill"], folder / "result.json")
        os.write(answers, f"{json.dumps(answer)}\n".encode())


def import_everything() -> None:
    """Import all that a try will need, so that its life is the push and not the reading of files."""
    for name in NEEDED:
        import_module(name)
    for found in walk_packages(airflow_provider_contacts.__path__, "airflow_provider_contacts."):
        if not found.name.endswith("__main__") and "simulator" not in found.name:
            import_module(found.name)
    for name in ("sqlite.hooks.sqlite", "postgres.hooks.postgres", "mysql.hooks.mysql"):
        with suppress(ImportError):  # not every database is installed everywhere
            import_module(f"airflow.providers.{name}")


def one_try(order: Order, kill: Mapping[str, float], result: Path) -> dict[str, Any]:
    """Fork, run, kill if that is wanted, and return how it ended."""
    result.unlink(missing_ok=True)
    alive, of_child = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(alive)
        live(order, int(kill.get("step", 0)), result)
    os.close(of_child)
    # The pipe is readable when its other end is closed, which is when the child is dead.
    over, _, _ = select.select([alive], [], [], kill.get("after", LONGEST_TRY))
    if not over:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(alive)
    seconds = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL and kill:
        return {"broken": False, **asdict(Ended(state=None, seconds=seconds))}
    if code != 0:
        return {"broken": True, **asdict(Ended(state=None, error=f"exit code {code}", seconds=seconds))}
    found: dict[str, Any] = json.loads(result.read_text())
    return {"broken": False, **found, "seconds": seconds}


def live(order: Order, last_step: int, result: Path) -> None:
    """Be the child: run the try, leave its result in a file, and end."""
    code = 1
    try:
        if last_step:
            with Steps(last_step) as steps:
                ended = run_try(order)
            found = {**asdict(ended), "steps": steps.count}
        else:
            found = asdict(run_try(order))
        result.write_text(json.dumps(found))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
