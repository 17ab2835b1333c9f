"""Airflow for tests: a home of its own for the whole session, a Dag run by ``dag.test()``, connections.

Import it from a ``conftest.py`` before anything imports Airflow: the environment is set here, at import, since
Airflow reads it when it is first imported.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
def airflow_db() -> Path:
    """Make the metadata database, once a session, and return Airflow's home."""
    from airflow.utils.db import initdb

    initdb()
    return HOME


@pytest.fixture
def run_dag(airflow_db: Path) -> RunDag:  # noqa: ARG001  # its database is needed
    """Return a function that runs a Dag defined in a test by ``dag.test()`` and returns its Dag run."""

    def run(dag: DAG, **arguments: Any) -> DagRun:
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

    return run


@pytest.fixture
def set_connections() -> Iterator[SetConnections]:
    """Return a function that defines connections until the test ends."""
    with ExitStack() as stack:
        yield lambda connections: stack.enter_context(airflow_connections(connections))
