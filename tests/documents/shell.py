"""One bash a page: what a block exports, changes and starts is there for the next one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from select import select

from tests.documents.world import PORT, World
from tests.support.processes import kill_session

SECONDS = 120
BEGIN = "trap 'code=$?; env -0 >{state}/environment; pwd >{state}/folder; echo $code >&3' EXIT\n"
STRICT = (
    "set -e; . {file} </dev/null >{output} 2>&1; set +e; env -0 >{state}/environment; pwd >{state}/folder; echo 0\n"
)
LAX = ". {file} </dev/null >{output} 2>&1; code=$?; env -0 >{state}/environment; pwd >{state}/folder; echo $code\n"
SIMULATOR = re.compile(
    r"^(?:python\d? -m airflow_provider_contacts\.simulator|airflow contacts simulate)\b(?!.*--list-knobs)"
)
SERVER = """\
[ -z "${{documents_server-}}" ] || {{ kill $documents_server; wait $documents_server || true; }}
{command} &
documents_server=$!
until (exec 9<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do kill -0 $documents_server; sleep 0.1; done"""


class Shell:
    """A bash, and another one in its place once it has ended."""

    def __init__(self, world: World) -> None:
        self.world, self.number = world, 0
        self.environment: Mapping[str, str] = world.environment()
        self.folder = world.work
        self.process: subprocess.Popen[str] | None = None

    def run(self, text: str, *, strict: bool) -> tuple[int, str]:
        """Run commands; return the exit code of the one that failed, else of the last, and what all have said."""
        self.number += 1
        state = self.world.folder / "state"
        state.mkdir(exist_ok=True)
        names = {"file": state / f"{self.number}.sh", "output": state / f"{self.number}.out", "state": state}
        names["file"].write_text(self._served(text), "utf-8")
        if self.process is None:
            self.process = subprocess.Popen(
                ["bash"], cwd=self.folder, env=dict(self.environment), text=True, bufsize=1, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            self._say("exec 3>&1\n" + BEGIN.format(state=state))
        self._say((STRICT if strict else LAX).format(**names))
        code = self._answer(strict=strict)
        self.environment = environment_of(state / "environment")
        self.folder = Path((state / "folder").read_text("utf-8").strip())
        return code, names["output"].read_text("utf-8", "replace")

    def _say(self, line: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def _answer(self, *, strict: bool) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        ready, _, _ = select([self.process.stdout], [], [], SECONDS)
        code = int(self.process.stdout.readline() or 1) if ready else -9
        if not ready or (strict and code):
            self.end()
            self.world.start_simulator()
        return code

    def _served(self, text: str) -> str:
        """Let servers of a page listen at the world's port, and give each the terminal of its own that it needs."""
        lines = []
        for line in text.replace(PORT, str(self.world.port)).replace("\\\n", " ").split("\n"):
            found = SIMULATOR.match(line)
            if found is None:
                lines.append(line)
                continue
            self.world.stop_simulator()
            port = "" if "--port" in line else f" --port {self.world.port}"
            command = f"{found[0]}{port}{line[found.end() :]}".rstrip().removesuffix("&")
            lines.append(SERVER.format(command=command, port=self.world.port))
        return "\n".join(lines)

    def end(self) -> None:
        """End everything that was started."""
        if self.process is not None:
            kill_session(self.process.pid)
            self.process.wait()
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None


def environment_of(file: Path) -> dict[str, str]:
    """Read what ``env -0`` has written."""
    pairs = [line.partition("=") for line in file.read_text("utf-8").split("\0") if line]
    return {name: value for name, _, value in pairs}
