"""What the stub can do at most, and what importing this provider costs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from bench.job import payload
from bench.process import BrokenError, Place
from bench.stub import BULK, SINGLE, Stub, build
from bench.warehouse import COLUMNS, people

SECONDS = 2.0
"""How long the stub is loaded."""

PROBE = """\
import sys, time
began = time.perf_counter()
from airflow.sdk import DAG, BaseOperator
between, modules = time.perf_counter(), len(sys.modules)
import airflow_provider_contacts.operators
print(between - began, time.perf_counter() - between, modules, len(sys.modules) - modules)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What imports took: medians of fresh processes.

    :param sdk: seconds of ``from airflow.sdk import DAG, BaseOperator``, as in every Dag file.
    :param sdk_modules: what it leaves in ``sys.modules``.
    :param added: seconds that ``airflow_provider_contacts.operators`` takes after it; ``modules``, how many it adds.
    """

    sdk: float
    sdk_modules: int
    added: float
    modules: int


def limits(stub: Stub, place: Place) -> Mapping[str, float]:
    """Return requests a second that the stub answers, by kind; the load comes from ``native/load.c``."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in islice(people(1, 100), 100)]
    bodies = {
        "bulk": (BULK, 10, {"records": [payload("bulk", row) for row in rows]}),
        "single": (SINGLE, 100, payload("single", rows[0])),
    }
    found: dict[str, float] = {}
    stub.reset(0)
    for kind, (path, connections, body) in bodies.items():
        file = place.folder / f"{kind}.json"
        file.write_text(json.dumps(body))
        command = [str(build("load")), str(stub.port), path, str(file), str(connections), str(SECONDS)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        found[kind] = int(told[0]) / float(told[1])
    return found


def imports(place: Place, runs: int) -> Import:
    """Return what importing the operators costs, in fresh processes."""
    (place.folder / "airflow").mkdir(exist_ok=True)
    told = [probe(place) for _ in range(runs)]
    sdk, added, sdk_modules, modules = (statistics.median(map(float, column)) for column in zip(*told, strict=True))
    return Import(sdk=sdk, sdk_modules=int(sdk_modules), added=added, modules=int(modules))


def probe(place: Place) -> list[str]:
    """Return what one fresh process says.

    :raises BrokenError: if it cannot import.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE], check=False, capture_output=True, text=True, env=place.environment()
    )
    if done.returncode:
        raise BrokenError(f"the operators cannot be imported: {done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1].split()
