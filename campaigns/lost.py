"""Lose answers after the contacts were created, and hold what each tool says against what is really there.

The simulator stores a request's contacts and closes the connection without an answer, by a seeded chance. The same
records go to the same vendor by our operator and by the programs in ``peers``. Our operator is also given answers that
lie, of every kind that the simulator knows.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from campaigns.judge import Book, Finding, Simulated, find, present
from campaigns.people import reading_extra, rows
from campaigns.task import SEARCHED, Ended, Order, Runner

BATCH = 10
"""Records a request, where the vendor takes several: 10,000 records are then 1,000 requests, of which 20 are lost."""

LOST = "store_then_drop"

LIES: Mapping[str, Any] = {
    **dict.fromkeys(("truncated", "cut_json", "garbage", "empty_body", "html_200", "wrong_content_type"), 0.03),
    **dict.fromkeys(("short", "foreign_record", "duplicate_ids", "nulls", "stringly", "bom"), 0.03),
    **dict.fromkeys((LOST, "close_before_store", "http_429", "http_503", "store_then_408", "store_then_500"), 0.03),
    "shuffled": 0.3,
}
"""Chances of answers that are lost, broken, untrue or in another order, all in one push."""

LYING: Mapping[str, Mapping[str, Any]] = {
    "apptoto": {"drop_contacts": 0.03},
    "dex": {"error_flag": 0.03, "error_flag_stored": 0.03},
    "nedzo": {"data_null": 0.03, "no_id": 0.03, "other_contact": 0.03},
}
"""What only one vendor can do: leave contacts out in silence, say no in a 200, show somebody else's contact."""

TRIES = 3
"""Tries that our operator gets."""

JOB = 1
HERE = Path(__file__).resolve().parent
LONGEST_PEER = 1800.0

KNOBS: Mapping[str, str] = {"intermezzo__token_life": "86400", "talkdesk__token_life": "86400"}
"""A peer is given a ready token, which must live as long as its run."""

OPTIONS: Mapping[str, Any] = {"max_in_flight": 8}
RECONCILE_DELAY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A program that does the same job in another way.

    :param program: file in ``peers``.
    :param argument: which of its ways.
    :param own_environment: whether its packages are in the peers' virtual environment.
    """

    title: str
    program: str
    argument: str = ""
    own_environment: bool = True


PEERS = (
    Peer(title="plain `@task`, Airflow `retries=3`", program="plain_task.py", argument="loop", own_environment=False),
    Peer(
        title="plain `@task`, each request tried 3 times",
        program="plain_task.py",
        argument="again",
        own_environment=False,
    ),
    Peer(title="dlt custom destination", program="dlt_destination.py"),
    Peer(title="drt `rest_api`", program="drt_sync.py"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    :param requests: create requests that arrived.
    :param lost: answers that were lost, or lied.
    :param created: contacts at the vendor.
    :param twice: contacts too many: the second and later ones of a record.
    :param never: records of which there is none.
    :param says: what the tool says of it all.
    :param finding: what the outcome table says, for our operator.
    :param on_unknown: likewise, its mode.
    """

    tool: str
    vendor: str
    records: int
    requests: int
    lost: int
    created: int
    twice: int
    never: int
    says: str
    finding: Finding | None = None
    on_unknown: str = ""

    def __str__(self) -> str:
        """Return what is said while a campaign runs."""
        return f"{self.vendor}, {self.tool}: {self.lost} answers lost, {self.twice} contacts too many"

    @property
    def complaint(self) -> str:
        """What breaks the promise, of our operator; empty if nothing does."""
        found = self.finding
        if found is None or not (self.twice or found.lost):
            return ""
        return f"{self.tool}, {self.vendor}: {self.twice} contacts too many, {found.lost} records lost"


def ours(
    run: Runner, sim: Simulated, book: Book, vendor: str, on_unknown: str, *, records: int, faults: Mapping[str, Any]
) -> Row:
    """Push by our operator, with as many tries as Airflow would give it, three at most.

    :param faults: knobs of the vendor.
    """
    sim.set(**{f"{vendor}__{name}": value for name, value in faults.items()})
    connection = sim.connections[f"{vendor}_default"]
    connection = {**connection, "extra": {**connection.get("extra", {}), **reading_extra(vendor, RECONCILE_DELAY)}}
    order = Order(
        vendor=vendor,
        connections={f"{vendor}_default": connection, "outcomes": book.connection},
        job=JOB,
        records=records,
        batch_size=BATCH,
        on_unknown=on_unknown,
        options=OPTIONS,
    )
    ended = run(order)
    while ended.state == "up_for_retry" and order.try_number < TRIES:
        order = replace(order, try_number=order.try_number + 1)
        ended = run(order)
    state = sim.at_rest(vendor, requests=True)
    found = find(present(state), book.said(order.dag_id), JOB, records)
    row = row_of(f'this provider, `on_unknown="{on_unknown}"`', vendor, records, state, claim(ended, found, order))
    return replace(row, finding=found, on_unknown=on_unknown)


def lies(vendor: str) -> dict[str, Any]:
    """Return the faults of answers that lie."""
    return {**LIES, **LYING.get(vendor, {}), "store_share": 0.5, "retry_after": "zero", "retry_after_503": "zero"}


def claim(ended: Ended, found: Finding, order: Order) -> str:
    """Return what our operator says."""
    if ended.summary is None:
        raise RuntimeError(f"the push has no summary: {ended.error}")
    said = f"{found.succeeded} succeeded, {found.doubted} unknown, {found.failed} failed"
    return f"{said}; task {ended.state} after {order.try_number} tr{'y' if order.try_number == 1 else 'ies'}"


def row_of(tool: str, vendor: str, records: int, state: Mapping[str, Any], says: str) -> Row:
    """Return the line of a tool that has ended."""
    there = present(state)
    created = sum(map(len, there.values()))
    log = [seen for seen in state["request_log"] if seen["kind"] == "write"]
    return Row(
        tool=tool,
        vendor=vendor,
        records=records,
        requests=len(log),
        lost=sum(bool(seen["faults"]) for seen in log),
        created=created,
        twice=created - len(there),
        never=records - len(there),
        says=says,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a peer is given.

    :param envelope: name of the list in the body, empty for a bare list, ``None`` for one record a request.
    :param source: SQLite file with the table ``contacts``, a row a record: ``key``, and ``body`` in JSON.
    :param folder: where it may write.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    envelope: str | None
    batch_size: int
    source: str
    folder: str


def theirs(peer: Peer, python: Path, sim: Simulated, folder: Path, vendor: str, *, records: int, share: float) -> Row:
    """Push by a peer.

    :param python: interpreter of the peers' virtual environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job = job_of(vendor, sim, folder, records)
    sim.set(**{f"{vendor}__{LOST}": share})
    file = folder / "job.json"
    file.write_text(json.dumps(asdict(job)))
    # Not resolved: the link is what makes it an environment of its own.
    interpreter = str(python.absolute()) if peer.own_environment else sys.executable
    with (folder / "log").open("ab") as log:
        done = subprocess.run(
            [interpreter, "-P", str(HERE / "peers" / peer.program), str(file), peer.argument],
            stdout=subprocess.PIPE, stderr=log, text=True, timeout=LONGEST_PEER, check=False, cwd=folder,
            env=environment(folder, with_package=not peer.own_environment),
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{peer.program} ended with {done.returncode}; see {folder / 'log'}")
    says = str(json.loads(done.stdout.splitlines()[-1])["says"])
    return row_of(peer.title, vendor, records, sim.at_rest(vendor, requests=True), says)


def environment(folder: Path, *, with_package: bool) -> dict[str, str]:
    """Return the environment of a peer: a home of its own, and no word to anybody of how it is used."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    return kept | {
        "HOME": str(folder),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "DO_NOT_TRACK": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        **({"PYTHONPATH": SEARCHED} if with_package else {}),
    }


def job_of(vendor: str, sim: Simulated, folder: Path, records: int) -> Job:
    """Write the records and return the job."""
    root = f"{sim.url}/{vendor}"
    connection = sim.connections[f"{vendor}_default"]
    login, password = str(connection.get("login", "")), str(connection["password"])
    basic = f"Basic {base64.b64encode(f'{login}:{password}'.encode()).decode()}"
    path, envelope, authorization, more = {
        "apptoto": ("/v1/contacts", "contacts", basic, {"address_book_id": 1}),
        "dex": ("/v1/contacts/", "contacts", f"Bearer {password}", {}),
        "intermezzo": ("/organizations/org_demo/contacts/list", "", "", {}),
        "nedzo": ("/v1/contact/", None, f"Bearer {password}", {}),
        "talkdesk": ("/record-lists/demo-list/records/bulks", "records", "", {}),
    }[vendor]
    source = folder / "warehouse.db"
    with closing(sqlite3.connect(source)) as database:
        database.execute("CREATE TABLE contacts (key TEXT PRIMARY KEY, body TEXT)")
        values = ((row.pop("key"), json.dumps({**row, **more})) for row in rows(vendor, JOB, records))
        database.executemany("INSERT INTO contacts VALUES (?, ?)", values)
        database.commit()
    return Job(
        url=f"{root}{path}",
        headers={"Authorization": authorization or token(f"{root}/oauth/token", vendor, basic)},
        envelope=envelope,
        batch_size=1 if envelope is None else BATCH,
        source=str(source),
        folder=str(folder),
    )


def token(url: str, vendor: str, basic: str) -> str:
    """Return a ready token, as a header's value."""
    wanted = {"grant_type": "client_credentials"}
    if vendor == "intermezzo":
        audience = {"audience": "https://api.intermezzo.ai", "client_id": "demo-client", "client_secret": "demo-secret"}
        data, content_type = json.dumps(wanted | audience).encode(), "application/json"
    else:
        data, content_type = urlencode(wanted).encode(), "application/x-www-form-urlencoded"
    headers = {"Content-Type": content_type, **({} if vendor == "intermezzo" else {"Authorization": basic})}
    request = Request(url, data=data, headers=headers)  # noqa: S310  # the simulator on loopback
    with urlopen(request, timeout=60) as answer:  # noqa: S310  # likewise
        return f"Bearer {json.load(answer)['access_token']}"


def complaints(lines: Sequence[Row]) -> list[str]:
    """Return everything that breaks the promise."""
    return [line.complaint for line in lines if line.complaint]
