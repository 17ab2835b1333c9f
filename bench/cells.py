"""Who is measured, and at what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A program that does the job.

    :param program: name of its module.
    :param way: which of its ways.
    :param of_peers: whether it runs in the peers' environment.
    :param in_airflow: whether it is an Airflow task, from which an empty one is subtracted.
    :param table: outcome table that must hold every record when it has ended.
    """

    title: str
    program: str
    way: str = ""
    of_peers: bool = False
    in_airflow: bool = False
    table: str = ""


OURS = "ours"
NO_LEDGER = "no-ledger"
EMPTY = "empty"
EMPTY_PUSH = "empty-push"

CONTENDERS: Mapping[str, Contender] = {
    OURS: Contender(
        title="**this provider**, outcome table", program="bench.ours", way="push", in_airflow=True,
        table="contact_outcomes",
    ),
    NO_LEDGER: Contender(
        title="this provider, hook's `push()`, no table", program="bench.ours", way="no_ledger", in_airflow=True
    ),
    EMPTY: Contender(title="empty Airflow task", program="bench.ours", way="empty", in_airflow=True),
    EMPTY_PUSH: Contender(title="this provider, no rows", program="bench.ours", way="empty_push", in_airflow=True),
    "dlt": Contender(title="dlt custom destination, tuned", program="bench.peers.dlt_destination", of_peers=True),
    "drt": Contender(title="drt `rest_api`, as it comes", program="bench.peers.drt_sync", way="default", of_peers=True),
    "drt-tuned": Contender(title="drt `rest_api`, tuned", program="bench.peers.drt_sync", way="tuned", of_peers=True),
    "singer": Contender(title="minimal Singer SDK target", program="bench.peers.singer_target", of_peers=True),
    "plain": Contender(
        title="plain `@task`: pandas, `requests`, `insert_rows`", program="bench.peers.plain_task", in_airflow=True,
        table="plain_outcomes",
    ),
    "http": Contender(
        title="`HttpOperator` mapped over batches", program="bench.peers.http_operator", in_airflow=True
    ),
    "aiohttp": Contender(title="bare aiohttp, keeps nothing", program="bench.peers.bare_client", way="aiohttp"),
    "httpx-aiohttp": Contender(
        title="bare httpx over httpx-aiohttp, keeps nothing", program="bench.peers.bare_client", way="httpx_aiohttp",
        of_peers=True,
    ),
    "httpx": Contender(title="bare httpx, keeps nothing", program="bench.peers.bare_client", way="httpx"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A contender in a cell.

    :param share: of the cell's records: who is slow gets fewer.
    :param most: runs at most, where one takes long.
    :param shards: processes among which the records are divided.
    """

    name: str
    share: float = 1.0
    most: int = 99
    shards: int = 1

    @property
    def key(self) -> str:
        """Its name, unlike that of any other entry of the cell."""
        return self.name if self.shards == 1 else f"{self.name}-{self.shards}"

    @property
    def title(self) -> str:
        """What it is called in a table."""
        return CONTENDERS[self.name].title + (f", {self.shards} mapped shards at the same time" * (self.shards > 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One measurement of several contenders in alternation.

    :param kind: ``bulk`` or ``single``, see :class:`bench.job.Job`.
    :param latency: of the vendor, milliseconds.
    :param source: ``sqlite`` or ``postgres``: the warehouse and the outcome table.
    """

    name: str
    title: str
    entries: Sequence[Entry]
    kind: str = "bulk"
    latency: int = 0
    source: str = "sqlite"
    records: int = 100_000

    @property
    def batch_size(self) -> int:
        """Records a request."""
        return 100 if self.kind == "bulk" else 1

    @property
    def in_flight(self) -> int:
        """Requests at the same time, for who can have several."""
        return 10 if self.kind == "bulk" else 100

    def bound(self, records: int) -> float:
        """Return the seconds that latency alone makes of so many records."""
        requests = -(-records // self.batch_size)
        return -(-requests // self.in_flight) * self.latency / 1000


def entries(*names: str) -> list[Entry]:
    """Return entries with the whole of a cell's records."""
    return [Entry(name=name) for name in names]


def small(name: str, share: float, most: int = 99) -> Entry:
    """Return an entry of someone slow."""
    return Entry(name=name, share=share, most=most)


BARE = ("aiohttp", "httpx-aiohttp", "httpx")
SHARDS: Mapping[str, Sequence[int]] = {"sqlite": (1, 8), "postgres": (1, 2, 4, 8)}
"""Processes at the same time, by the database of the outcome table."""

CELLS: Sequence[Cell] = (
    Cell(name="start", title="An empty task, and a push without rows", entries=entries(EMPTY, EMPTY_PUSH), records=0),
    Cell(
        name="start-postgres",
        title="A push without rows, outcome table in PostgreSQL",
        source="postgres",
        entries=entries(EMPTY_PUSH),
        records=0,
    ),
    Cell(
        name="bulk-0-sqlite",
        title="Bulk, no latency, from SQLite",
        entries=[
            *entries(OURS, NO_LEDGER, "dlt", "singer", "plain", *BARE),
            small("drt", 0.1),
            small("drt-tuned", 0.5),
            small("http", 0.05),
        ],
    ),
    Cell(
        name="bulk-0-postgres",
        title="Bulk, no latency, from PostgreSQL, outcome table in PostgreSQL",
        source="postgres",
        entries=entries(OURS, NO_LEDGER, "dlt", "plain", "aiohttp"),
    ),
    Cell(
        name="bulk-20",
        title="Bulk, 20 ms latency, from SQLite",
        latency=20,
        records=30_000,
        entries=[
            *entries(OURS, NO_LEDGER, "dlt", "aiohttp"),
            *(small(name, 0.2) for name in ("singer", "plain", "drt-tuned")),
        ],
    ),
    Cell(
        name="bulk-100",
        title="Bulk, 100 ms latency, from SQLite",
        latency=100,
        records=50_000,
        entries=[
            *entries(OURS, NO_LEDGER, "dlt", "aiohttp"),
            *(small(name, 0.1) for name in ("singer", "plain", "drt-tuned")),
        ],
    ),
    Cell(
        name="single-0",
        title="One record a request, no latency, from SQLite",
        kind="single",
        records=10_000,
        entries=[
            *entries(OURS, NO_LEDGER, "aiohttp", "httpx-aiohttp"),
            small("httpx", 0.05),
            small("drt", 0.2),
            small("drt-tuned", 0.2),
        ],
    ),
    Cell(
        name="single-100",
        title="One record a request, 100 ms latency, from SQLite",
        kind="single",
        latency=100,
        records=10_000,
        entries=[*entries(OURS, "aiohttp", "httpx-aiohttp"), small("httpx", 0.05, most=2)],
    ),
    *(
        Cell(
            name=f"rows-{label}-{source}",
            title=f"{records:,} rows, bulk, no latency, {'PostgreSQL' if source == 'postgres' else 'SQLite'}",
            source=source,
            records=records,
            entries=[small(OURS, 1, most), *(small(name, 1, 1) for name in others)],
        )
        for label, records, most, others in (("10k", 10_000, 99, ()), ("1m", 1_000_000, 1, ("dlt",)))
        for source in ("sqlite", "postgres")
    ),
    *(
        Cell(
            name=f"shards-{source}",
            title=f"Mapped shards, outcome table in {'PostgreSQL' if source == 'postgres' else 'SQLite'}",
            source=source,
            records=100_000,
            entries=[Entry(name=OURS, shards=shards) for shards in counts],
        )
        for source, counts in SHARDS.items()
    ),
)
