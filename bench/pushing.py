"""Pushes by a hook, each in a process of its own: started, let go at the same time, and what became of their records.

``python -m bench.pushing ORDER`` is such a process: it says that it is ready, waits for the word, pushes to Talkdesk
by the connection ``talkdesk_default`` of its environment, and says what it counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from subprocess import PIPE, Popen
from typing import Any

from bench.clock import READY
from bench.process import Place, together
from campaigns.nursery import import_everything
from campaigns.people import rows

VENDOR = "talkdesk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one process is to push.

    :param number: is part of every record's key.
    :param records: at most 100,000, the keys and telephone numbers of one number.
    :param seconds: after which it stops, from its first outcome; 0: when all records are pushed.
    """

    number: int
    records: int
    batch_size: int
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of an order.

    :param statuses: outcomes, counted by their status.
    """

    seconds: float
    statuses: Mapping[str, int]


def push_all(place: Place, connections: Mapping[str, Mapping[str, Any]], orders: Sequence[Order]) -> list[Pushed]:
    """Run a process for every order, all at the same time.

    :param connections: Airflow's, by id.
    :raises BrokenError: if one of them fails.
    """
    names = {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(value) for conn_id, value in connections.items()}
    environment = place.environment() | names

    def start(order: Order, errors: int) -> Popen[str]:
        command = [sys.executable, "-P", "-m", "bench.pushing", json.dumps(asdict(order))]
        return Popen(command, stdin=PIPE, stdout=PIPE, stderr=errors, text=True, cwd=place.folder, env=environment)

    said, _ = together(place.folder / "pushing.log", "a push", [partial(start, order) for order in orders])
    return [Pushed(**json.loads(line)) for line in said]


def push(order: Order) -> Pushed:
    """Push, and count."""
    from airflow_provider_contacts.hooks import TalkdeskHook

    statuses: Counter[str] = Counter()
    began = until = time.monotonic()
    records = rows(VENDOR, order.number, order.records)
    outcomes: Any = TalkdeskHook().push(records, sync_key="key", batch_size=order.batch_size)
    with closing(outcomes):
        for outcome in outcomes:
            if not statuses:
                until = time.monotonic() + order.seconds
            statuses[outcome.status.value] += 1
            if order.seconds and time.monotonic() > until:
                break
    return Pushed(seconds=time.monotonic() - began, statuses=dict(statuses))


def main() -> None:
    """Be the process."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print belongs into the log
    import_everything()
    os.write(answers, f"{READY}\n".encode())
    sys.stdin.readline()
    pushed = push(Order(**json.loads(sys.argv[1])))
    os.write(answers, f"{json.dumps(asdict(pushed))}\n".encode())


if __name__ == "__main__":
    main()
