"""Eight processes share fifty requests a second for a minute, through each database that can be started here.

usage: python -m bench.budget [--seconds 60] [--rate 50] [--burst N] [--senders 8] [--ready-token] [--write FILE]
                              [STORE ...]
STORE: postgresql, mariadb; both without one.

They push by the hook to a simulator (``shared.py``). A table is printed, and it ends with 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from airflow_provider_contacts.pacing.shared import SharedRate
from bench.process import BrokenError, Place
from bench.shared import HEAD, Found, share_by_pushing
from bench.verdict import conclude
from campaigns.report import table
from tests.support.servers import MariaDB, NoServerError, Postgres, running_mariadb, running_postgres

Server = Postgres | MariaDB

STORES: Mapping[str, Callable[[], AbstractContextManager[Server]]] = {
    "postgresql": running_postgres,
    "mariadb": running_mariadb,
}


def push(given: argparse.Namespace, shared: SharedRate) -> int:
    """Let processes push by the hook; return the exit status."""
    found: list[Found] = []
    broken: list[str] = []
    left_out: list[str] = []
    for name in given.stores:
        try:
            with STORES[name]() as server, tempfile.TemporaryDirectory(prefix="bench-budget-") as folder:
                place, store = Place(Path(folder), None), server.connection()
                chosen: dict[str, Any] = {one: getattr(given, one) for one in ("senders", "seconds", "ready_token")}
                found.append(share_by_pushing(place, name, store, shared, **chosen))
        except NoServerError as reason:
            left_out.append(f"- left out: {name}: {reason}")
        except BrokenError as reason:
            broken.append(f"{name}: {reason}")
    broken += [text for one in found for text in one.complaints()] or ([] if found else ["nothing was measured"])
    said = "a ready token" if given.ready_token else "a client id: each process fetches its token at its first request"
    lines = [f"Credential: {said}.", "", *table(HEAD, [one.row() for one in found]), *left_out]
    return conclude("One rate, shared by pushes", lines, broken, given.write)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.budget", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stores", nargs="*", metavar="STORE", default=list(STORES))
    parser.add_argument("--ready-token", action="store_true", help="no process fetches a token first")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--burst", type=int)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown")
    given = parser.parse_args(arguments)
    if strange := sorted(set(given.stores) - set(STORES)):
        parser.error(f"no stores: {', '.join(strange)}")
    # The name of the store's connection, too.
    shared = SharedRate(conn_id="bench", requests_per_second=given.rate, burst=given.burst)
    return push(given, shared)


if __name__ == "__main__":
    sys.exit(main())
