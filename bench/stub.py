"""The vendor's stand-in: built of ``native/stub.c`` where it is needed, started, asked for its counts, and ended.

``python -m bench.stub --port 8781 --latency 20`` runs it by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "build" / "bench"

BULK = "/record-lists/list/records/bulks"
SINGLE = "/v1/contact/"


class NoCompilerError(Exception):
    """There is no C compiler; says so in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the stub received since it was reset.

    :param distinct: records by the key in them: less than ``records`` where something came twice.
    :param unreadable: requests that were no JSON of records.
    """

    requests: int
    records: int
    distinct: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class Stub:
    """A running stub.

    :param port: on 127.0.0.1.
    """

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def reset(self, latency: int) -> None:
        """Forget all counts, and answer after so many milliseconds from now on."""
        self._get(f"/_reset/{latency}")

    def counts(self) -> Counts:
        """Return what it received."""
        return Counts(**json.loads(self._get("/_counts")))

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _get(self, path: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


def build(name: str) -> Path:
    """Compile a program of ``native`` if it is newer than what was built of it.

    :raises NoCompilerError: if there is no ``cc``.
    """
    source, built = HERE / "native" / f"{name}.c", BUILT / name
    if built.exists() and built.stat().st_mtime > source.stat().st_mtime:
        return built
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoCompilerError("bench needs a C compiler (cc) for the vendor's stub, and there is none")
    BUILT.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-Wall", "-std=gnu11", "-o", str(built), str(source)], check=True)
    return built


@contextmanager
def running(port: int = 0, latency: int = 0) -> Iterator[Stub]:
    """Start a stub, and end it afterwards.

    :param port: 0: any.
    :param latency: milliseconds.
    """
    command = [str(build("stub")), str(port), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            told = process.stdout.readline() if process.stdout else ""
            if not told:
                raise RuntimeError("the stub did not start")
            yield Stub(int(told), process.pid)
        finally:
            process.kill()


def main() -> None:
    """Run a stub until it is interrupted."""
    made = argparse.ArgumentParser(prog="python -m bench.stub", description="A vendor that is faster than any client.")
    made.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: any)")
    made.add_argument("--latency", type=int, default=0, help="milliseconds (default: %(default)s)")
    options = made.parse_args()
    program = str(build("stub"))
    os.execv(program, [program, str(options.port), str(options.latency)])  # noqa: S606  # it takes this process's place


if __name__ == "__main__":
    main()
