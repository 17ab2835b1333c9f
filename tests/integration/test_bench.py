"""The benchmark in a tiny size: the stub answers as the vendors do, its counts agree, and what is broken is seen."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from airflow_provider_contacts.vendor_kit.vendor import Created, Response
from airflow_provider_contacts.vendors import nedzo, talkdesk
from bench import stub
from bench.cells import CELLS, Cell, Entry
from bench.figures import Figures, Sample
from bench.picture import picture
from bench.process import Place
from bench.report import Circumstances, report
from bench.run import Bench, chosen
from bench.targets import targets
from bench.warehouse import Databases
from tests.support.servers import Postgres

RECORDS = 300


@pytest.fixture(scope="module")
def vendor() -> Iterator[stub.Stub]:
    try:
        with stub.running() as running:
            yield running
    except stub.NoCompilerError as reason:
        pytest.skip(str(reason))


def post(vendor: stub.Stub, path: str, body: bytes) -> Response:
    request = Request(vendor.url + path, data=body, headers={"Content-Type": "application/json"})  # noqa: S310  # the stub on loopback
    with urlopen(request, timeout=30) as answer:  # noqa: S310  # likewise
        return Response(answer.status, {}, answer.read())


# The stub.

NASTY = [
    {"first_name": 'a "quote" \\', "last_name": "k1x0", "phone_numbers": [{"phone_number": "+15550000000"}]},
    {"first_name": "}]{[,", "last_name": "k1x1", "phone_numbers": [{"phone_number": "+15550000001"}]},
    {"first_name": "Zoë \u2028", "last_name": "k1x2", "phone_numbers": [{"phone_number": "+15550000002"}]},
]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_our_reader_takes_every_record_of_a_bulk_for_created(vendor: stub.Stub, separators: tuple[str, str]) -> None:
    vendor.reset(0)
    answer = post(vendor, stub.BULK, json.dumps({"records": NASTY}, separators=separators).encode())
    replies = talkdesk.VENDOR.read(answer, NASTY)
    assert all(isinstance(reply, Created) for reply in replies)
    assert len({reply.id for reply in replies if isinstance(reply, Created)}) == len(NASTY)
    assert vendor.counts() == stub.Counts(requests=1, records=3, distinct=3, unreadable=0)


def test_our_reader_takes_a_single_record_for_created(vendor: stub.Stub) -> None:
    record = {"email": "k1x7@example.com", "first_name": "Ada", "last_name": "k1x7"}
    (reply,) = nedzo.VENDOR.read(post(vendor, stub.SINGLE, json.dumps(record).encode()), [record])
    assert isinstance(reply, Created)


def test_a_record_that_comes_twice_is_seen(vendor: stub.Stub) -> None:
    vendor.reset(0)
    for _ in range(2):
        post(vendor, stub.BULK, json.dumps({"records": NASTY}).encode())
    assert vendor.counts() == stub.Counts(requests=2, records=6, distinct=3, unreadable=0)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"records":[{"a":1}', b'{"records":[{"a":"', b'{"records":[1]}'])
def test_what_is_no_list_of_records_is_refused_and_counted(vendor: stub.Stub, body: bytes) -> None:
    vendor.reset(0)
    with pytest.raises(HTTPError, match="400") as refused:
        post(vendor, stub.BULK, body)
    refused.value.close()
    assert vendor.counts().unreadable == 1


# Runs.


@pytest.fixture(scope="module")
def bench(vendor: stub.Stub, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    databases = Databases(folder, postgres)
    databases.fill(1, RECORDS)
    return Bench(vendor, Place(folder, None), databases, 1.0)


def cell_of(*entries: Entry, **more: Any) -> Cell:
    return Cell(name="tiny", title="Tiny", entries=entries, records=RECORDS, **more)


@pytest.mark.parametrize(
    ("entry", "more"),
    [
        (Entry(name="ours"), {}),
        (Entry(name="ours"), {"source": "postgres"}),
        (Entry(name="ours"), {"kind": "single"}),
        (Entry(name="ours", shards=3), {"source": "postgres"}),
        (Entry(name="no-ledger"), {}),
        (Entry(name="plain"), {}),
        (Entry(name="aiohttp"), {"source": "postgres"}),
        (Entry(name="httpx"), {"kind": "single"}),
    ],
    ids=lambda value: value.key if isinstance(value, Entry) else "-".join(value.values()) or "bulk",
)
def test_every_record_arrives_once(bench: Bench, entry: Entry, more: dict[str, Any]) -> None:
    sample = bench.sample(cell_of(entry, **more), entry, 0)
    assert sample.broken == ""
    assert sample.records == RECORDS
    assert sample.wall > 0
    assert sample.cpu > 0
    assert sample.peak > 10_000_000
    assert bench.stub.counts().requests == (RECORDS if more.get("kind") == "single" else RECORDS // 100)


def test_a_missing_record_is_seen(bench: Bench) -> None:
    cell = cell_of()
    bench.databases.outcomes("sqlite")
    bench.stub.reset(0)
    post(bench.stub, stub.BULK, json.dumps({"records": NASTY}).encode())
    assert bench.complaint(cell, len(NASTY), "") == ""
    assert "at the stub 3, 3 of them different" in bench.complaint(cell, 4, "")
    assert "0 in contact_outcomes" in bench.complaint(cell, len(NASTY), "contact_outcomes")


def test_a_process_that_fails_is_a_broken_run(bench: Bench) -> None:
    # There is no environment of the peers here.
    assert "peers" in bench.sample(cell_of(Entry(name="dlt")), Entry(name="dlt"), 0).broken


# What follows from the figures.


def figures(**walls: list[float]) -> Figures:
    cell = Cell(name="bulk-0-sqlite", title="Bulk", entries=[Entry(name=name) for name in walls])
    found = Figures([cell])
    found.samples += [
        Sample(cell=cell.name, entry=name, contender=name, records=100_000, wall=wall, cpu=wall, peak=150_000_000)
        for name, runs in walls.items()
        for wall in runs
    ]
    found.samples.append(Sample(cell="start", entry="empty", contender="empty", records=0, wall=1.0, peak=100_000_000))
    return found


def test_an_empty_task_is_subtracted_from_airflow_tasks_alone() -> None:
    found = figures(ours=[3.0, 2.0, 9.0], dlt=[6.0])
    ours, dlt = found.wall("bulk-0-sqlite", "ours"), found.wall("bulk-0-sqlite", "dlt")
    assert ours is not None
    assert dlt is not None
    assert (ours.median, ours.least, ours.most, dlt.median) == (2.0, 1.0, 8.0, 6.0)


def test_targets_say_by_how_much_they_are_missed() -> None:
    found = targets(figures(ours=[3.0], dlt=[6.0], plain=[5.0]))
    verdicts = {one.text: one.verdict for one in found}
    assert verdicts["bulk, outcome table, against dlt, SQLite"] == "met"
    assert verdicts["bulk, outcome table, against the plain `@task`, SQLite"] == "missed by 1.00x"
    assert verdicts["bulk, outcome table, against drt, tuned, SQLite"] == "not measured"
    assert verdicts["memory above an empty task at 100,000 rows, SQLite"] == "missed by 25.00 MB"


def test_a_broken_run_counts_in_no_median_and_is_told() -> None:
    found = figures(ours=[3.0])
    found.samples.append(
        Sample(cell="bulk-0-sqlite", entry="ours", contender="ours", records=100_000, wall=99.0, broken="lost one")
    )
    circumstances = Circumstances(
        command="x", runs=1, seed=1, seconds=1.0, postgres="", load=0.0, share=0.1, left_out=["nothing"]
    )
    text = report(found, circumstances)
    assert "lost one" in text
    assert "| 2.00 (2.00 to 2.00) |" in text
    assert "10.0% of the records" in text
    bars = ET.fromstring(picture(figures(ours=[3.0], dlt=[6.0]))).iter("{http://www.w3.org/2000/svg}rect")  # noqa: S314  # our own text
    assert [bar.get("class") for bar in bars] == ["ours", "bar"]


def test_our_own_start_is_not_held_against_latency() -> None:
    cell = Cell(name="bulk-100", title="Bulk", entries=[Entry(name="ours"), Entry(name="aiohttp")], latency=100)
    found = Figures([cell])
    for name, wall in {"ours": 12.5, "aiohttp": 12.5}.items():
        found.samples.append(Sample(cell=cell.name, entry=name, contender=name, records=100_000, wall=wall))
    found.samples.append(Sample(cell="start", entry="empty-push", contender="empty-push", records=0, wall=2.5))
    assert cell.bound(100_000) == 10.0
    assert found.of_bound(cell, "ours") == pytest.approx(1.0)
    assert found.of_bound(cell, "aiohttp") == pytest.approx(0.8)


def test_peers_without_their_environment_are_left_out() -> None:
    (start, bulk) = chosen(["bulk-0-sqlite"], None, None)
    assert start.name == "start"
    assert {entry.name for entry in bulk.entries}.isdisjoint({"dlt", "drt", "singer", "http"})
    assert len(chosen(None, None, Path("python"))) == len(CELLS)
