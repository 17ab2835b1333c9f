"""Airflow for tests: a home of its own for the whole session, a Dag run by ``dag.test()``, connections.

Import it from a ``conftest.py`` before anything imports Airflow: the environment is set here, at import, since
Airflow reads it when it is first imported.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import cache
from inspect import signature
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from tests.airflow_harness import airflow_connections

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

RunDag = Callable[..., "DagRun"]
SetConnections = Callable[[Mapping[str, Mapping[str, Any]]], None]

HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
(HOME / "dags").mkdir()
os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
    }
)


@pytest.fixture(scope="session")
def airflow_db() -> Iterator[Path]:
    """Make the metadata database, once a session, and return Airflow's home."""
    from airflow import settings
    from airflow.sdk.execution_time import supervisor
    from airflow.utils.db import initdb

    initdb()
    # One API server for all tasks, as Airflow 3.4 keeps it: 3.2 builds one for each, which takes seconds.
    supervisor.in_process_api_server = cache(supervisor.in_process_api_server)
    yield HOME
    if settings.async_engine is not None:
        # Airflow 3.4 leaves connections open that it then fails to close, which it logs at the very end.
        asyncio.run(settings.async_engine.dispose())


def run_stored(dag: DAG, **arguments: Any) -> DagRun:
    """Store a Dag as the Dag processor does, run it by ``dag.test()``, and return its Dag run."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    with create_session() as session:
        if session.get(DagBundleModel, "testing") is None:
            session.add(DagBundleModel(name="testing"))
    # dag.test() refuses a Dag that no Dag processor has stored
    lazy = LazyDeserializedDAG.from_dag(dag)
    SerializedDAG.bulk_write_to_db("testing", None, [lazy])
    SerializedDagModel.write_dag(lazy, bundle_name="testing")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        finished: DagRun = dag.test(**arguments)
    finally:
        # Airflow leaves its own, which ignores SIGTERM once the task is over.
        signal.signal(signal.SIGTERM, handler)
    return finished


@pytest.fixture
def run_dag(airflow_db: Path) -> RunDag:  # noqa: ARG001  # its database is needed
    """Return :func:`run_stored`."""
    return run_stored


def begin_metrics(client: Any = None) -> Any:
    """Begin metrics anew, as a worker does when it starts; return the client: the configured one, if none is given."""
    import airflow.sdk.serde  # noqa: F401  # which begins metrics by itself when it is first imported
    from airflow.sdk.observability.metrics import stats_utils
    from airflow.sdk.observability.stats import Stats

    begin: Any = Stats.initialize
    make: Any = stats_utils.get_stats_factory
    is_old = bool(signature(make).parameters)  # Airflow 3.2
    found = client or make(*[Stats] * is_old)()
    begin(factory=lambda: found, **({} if is_old else {"export_legacy_names": False}))
    return found


@pytest.fixture
def metrics() -> Iterator[Callable[[], list[str]]]:
    """Return what gives the metrics of this package that Airflow's own StatsD client has sent since, in order."""
    pytest.importorskip("statsd")
    # What begins them by itself must not open a client that nobody closes.
    begin_metrics()
    with socket(AF_INET, SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)  # noqa: FBT003  # loopback: what was sent is here
        names = {"ON": "True", "PORT": str(receiver.getsockname()[1]), "INFLUXDB_ENABLED": "True", "HOST": "127.0.0.1"}

        def received() -> list[str]:
            lines: list[str] = []
            with suppress(BlockingIOError):
                while True:
                    lines += receiver.recv(65535).decode().splitlines()
            assert lines, "Airflow's own have arrived"
            return [line.removeprefix("airflow.") for line in lines if line.startswith("airflow.contacts.")]

        with patch.dict(os.environ, {f"AIRFLOW__METRICS__STATSD_{name}": value for name, value in names.items()}):
            client = begin_metrics()
            yield received
        begin_metrics()
        client.statsd.close()


@pytest.fixture
def set_connections() -> Iterator[SetConnections]:
    """Return a function that defines connections until the test ends."""
    with ExitStack() as stack:
        yield lambda connections: stack.enter_context(airflow_connections(connections))
