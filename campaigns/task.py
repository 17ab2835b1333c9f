"""One try of a pushing task, run in this process as Airflow's task runner runs it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Self

import airflow_provider_contacts
from campaigns.people import pace, rows

assert airflow_provider_contacts.__file__ is not None  # noqa: S101  # a package always has a file
PACKAGE = str(Path(airflow_provider_contacts.__file__).resolve().parent)
SEARCHED = os.pathsep.join([str(Path(PACKAGE).parent), str(Path(__file__).resolve().parents[1])])
"""``PYTHONPATH`` of a process that is to find the same package, and this folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one try is to push.

    :param connections: Airflow connections by id, ``outcomes`` among them.
    :param job: its number is part of every key, and names the Dag and the run.
    :param options: parameters of the operator over those of the vendor's pace.
    """

    vendor: str
    connections: Mapping[str, Mapping[str, Any]] = field(repr=False)
    job: int
    records: int
    batch_size: int
    on_unknown: str
    try_number: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        """The Dag of the job."""
        return f"campaign_{self.job}"

    def to_json(self) -> str:
        """Return the order as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Order:
        """Return an order of JSON."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one try ended.

    :param state: Airflow's word, ``None`` where the process was killed.
    :param error: type of the task's error and its text.
    :param summary: what was left in XCom.
    :param steps: calls and returns in the package, where they were counted.
    """

    state: str | None
    error: str | None = None
    summary: Mapping[str, Any] | None = None
    steps: int = 0
    seconds: float = 0.0


RETRIES = 99
"""Retries that the task has left, so that Airflow's word for its end tells what it asks for."""


def run_try(order: Order) -> Ended:
    """Run one try of an order in this process."""
    from airflow.sdk import DAG

    from airflow_provider_contacts.operators import PushContactsOperator
    from tests.airflow_harness import MemAPI, run_op, scope_of

    records = list(rows(order.vendor, order.job, order.records))
    parameters = {**pace(order.vendor, order.batch_size), "on_unknown": order.on_unknown, **order.options}
    with DAG(order.dag_id, schedule=None):
        op = PushContactsOperator(
            task_id="push",
            records=records,
            contacts_conn_id=f"{order.vendor}_default",
            sync_key="key",
            outcomes_conn_id="outcomes",
            retries=RETRIES,
            **parameters,
        )
    api = MemAPI(connections=order.connections)
    result = run_op(op, api, order.try_number)
    error = None if result.error is None else f"{type(result.error).__name__}: {result.error}"
    summary = api.xcoms.get((scope_of(op), "return_value"))
    return Ended(state=str(getattr(result.state, "value", result.state)), error=error, summary=summary)


class Steps:
    """Counts calls and returns of the package's functions in this thread, and ends the process at one of them.

    :param last: the step at which the process is killed; 0: never.
    """

    def __init__(self, last: int) -> None:
        self.count = 0
        self._last = last

    def __enter__(self) -> Self:
        """Begin to count."""
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *_: object) -> None:
        """Count no more."""
        sys.setprofile(None)

    def _seen(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event in {"call", "return"} and frame.f_code.co_filename.startswith(PACKAGE):
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


Runner = Callable[[Order], Ended]
"""Runs one try, here or in a process of its own."""
