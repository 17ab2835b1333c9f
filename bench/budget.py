"""Eight processes share fifty requests a second for a minute, through each kind of store that can be started here.

usage: python -m bench.budget [--seconds 60] [--rate 50] [--burst N] [--senders 8] [--wanted 50] [STORE ...]
STORE: postgresql, mariadb, redis; all without one. Prints one line a store.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from airflow_provider_contacts.core.budget import SharedRate
from tests.servers import NoServerError, running_mariadb, running_postgres
from tests.sharing import running_redis, share


@contextmanager
def postgresql() -> Iterator[str]:
    """Start PostgreSQL; yield where it is."""
    with running_postgres() as server:
        yield server.url()


@contextmanager
def mariadb() -> Iterator[str]:
    """Start MariaDB; yield where it is."""
    with running_mariadb() as server:
        yield server.url()


@contextmanager
def redis() -> Iterator[str]:
    """Start Redis; yield where it is."""
    with running_redis() as server:
        yield server.store


STORES: Mapping[str, Callable[[], AbstractContextManager[str]]] = {
    "postgresql": postgresql,
    "mariadb": mariadb,
    "redis": redis,
}


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", nargs="*", metavar="STORE", default=list(STORES))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--burst", type=int)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--wanted", type=int, default=50)
    given = parser.parse_args()
    shared = SharedRate(conn_id="bench", requests_per_second=given.rate, burst=given.burst)
    for name in given.stores:
        try:
            with STORES[name]() as store:
                found = share(store, shared, senders=given.senders, seconds=given.seconds, wanted=given.wanted)
        except NoServerError as reason:
            print(f"{name}: {reason}")
        else:
            print(f"{name}: {found}", flush=True)


if __name__ == "__main__":
    main()
