"""What must hold at the end, whatever was killed: each function yields a sentence for every promise that is broken.

Nothing here asks anybody; what is compared was collected before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COUNTED = ("succeeded", "rejected", "invalid", "failed", "unknown", "skipped", "duplicate")
SETTLED = frozenset({"succeeded", "rejected", "unknown"})


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the outcome table."""

    key: str
    status: str
    code: str | None
    vendors_id: str | None


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact at the vendor, and the request that created it."""

    key: str
    id: str
    request: int


@dataclass(frozen=True, slots=True)
class Try:
    """One try of one mapped task, as Airflow tells it."""

    shard: int
    number: int
    worker: str
    state: str


@dataclass(frozen=True, slots=True)
class Kill:
    """The moment after the kill."""

    worker: str
    sending: frozenset[str]  # keys of the dead tasks' records that were under way
    delivered: Mapping[int, int]  # by shard of a dead task, the records that it had delivered
    batches: int  # requests that the dead tasks had marked, as far as their rows still tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was found."""

    shards: Sequence[frozenset[str]]  # the keys of each shard
    refused: frozenset[str]  # keys that the vendor refuses
    batch_size: int  # records a request
    dag_state: str
    tries: Sequence[Try]
    summaries: Mapping[int, Mapping[str, Any]]  # what each mapped task left in XCom, by shard
    rows: Sequence[Row]
    runs: Mapping[tuple[int, int], Mapping[str, Any]]  # rows of the table of runs, by shard and number of the try
    contacts: Sequence[Contact]
    requests: Sequence[Mapping[str, Any]]  # the vendor's log of create requests
    kill: Kill

    @property
    def records(self) -> frozenset[str]:
        """All keys of the warehouse."""
        return frozenset().union(*self.shards)

    def last_tries(self) -> dict[int, Try]:
        """Return the try of each shard that counts."""
        return {one.shard: one for one in sorted(self.tries, key=lambda one: one.number)}

    def stopped(self) -> frozenset[str]:
        """Return the keys of shards with one try more than the kill explains: Airflow stopped a task that was slow."""
        last = self.last_tries()
        expected = {shard: 2 if shard in self.kill.delivered else 1 for shard in last}
        return frozenset().union(*(self.shards[shard] for shard, one in last.items() if one.number > expected[shard]))

    def unanswered(self) -> list[Mapping[str, Any]]:
        """Return the requests whose answer a fault has swallowed."""
        return [request for request in self.requests if request["status"] == 0]


def broken(evidence: Evidence) -> Iterator[str]:
    """Yield every promise that is broken."""
    for check in (airflow, middle, table, vendor, doubt, summaries, runs, requests):
        yield from (f"{check.__name__}: {text}" for text in check(evidence))


def airflow(evidence: Evidence) -> Iterator[str]:
    """Airflow itself has found the dead tasks and run them again, elsewhere."""
    if evidence.dag_state != "success":
        yield f"the DAG run ended as {evidence.dag_state}"
    last = evidence.last_tries()
    if sorted(last) != list(range(len(evidence.shards))):
        yield f"there are mapped tasks {sorted(last)}"
    for shard, final in last.items():
        if final.state != "success":
            yield f"shard {shard} ended as {final.state}"
        if shard not in evidence.kill.delivered:
            continue
        if final.worker == evidence.kill.worker:
            yield f"shard {shard} ended on the worker that was killed"
        earlier = [one for one in evidence.tries if one.shard == shard and one.number < final.number]
        if not any(one.worker == evidence.kill.worker and one.state != "success" for one in earlier):
            yield f"shard {shard} has no try that died with its worker"


def middle(evidence: Evidence) -> Iterator[str]:
    """The kill hit tasks in the middle of their work: else the run has shown nothing."""
    if not evidence.kill.delivered:
        yield "the worker had no task when it was killed"
    if not evidence.kill.sending:
        yield "nothing was under way at the kill"
    shares = [count / len(evidence.shards[shard]) for shard, count in evidence.kill.delivered.items()]
    if not any(0 < share < 1 for share in shares):
        yield "no task had delivered some of its records and not all"


def table(evidence: Evidence) -> Iterator[str]:
    """Every record has one row, which says something final."""
    keys = Counter(row.key for row in evidence.rows)
    for text, found in (
        ("records without a row", evidence.records - keys.keys()),
        ("rows of no record", keys.keys() - evidence.records),
        ("records with several rows", {key for key, count in keys.items() if count > 1}),
    ):
        if found:
            yield f"{len(found)} {text}"
    for status, count in Counter(row.status for row in evidence.rows).items():
        if status not in SETTLED:
            yield f"{count} rows are {status}"


def vendor(evidence: Evidence) -> Iterator[str]:
    """Every record is at the vendor once; one that is refused is not; one that is in doubt, once at most."""
    stored = Counter(contact.key for contact in evidence.contacts)
    ids = {contact.key: contact.id for contact in evidence.contacts}
    status = {row.key: row.status for row in evidence.rows}
    succeeded = {row.key for row in evidence.rows if row.status == "succeeded"}
    rejected = {row.key for row in evidence.rows if row.status == "rejected"}
    wrong_id = {row.key for row in evidence.rows if row.status == "succeeded" and ids.get(row.key) != row.vendors_id}
    for text, found in (
        ("records are stored more than once", {key for key, count in stored.items() if count > 1}),
        ("contacts belong to no record", stored.keys() - evidence.records),
        ("records are succeeded and not stored", succeeded - stored.keys()),
        ("records are stored and neither succeeded nor unknown",
         {key for key in stored if status.get(key) not in {"succeeded", "unknown"}}),
        ("rows have another id than the vendor's", wrong_id),
        ("records are rejected that the vendor takes", rejected - evidence.refused),
        ("records are stored that the vendor refuses", stored.keys() & evidence.refused),
    ):  # fmt: skip
        if found:
            yield f"{len(found)} {text}"


def doubt(evidence: Evidence) -> Iterator[str]:
    """In doubt is what was under way at the kill and what a fault left without an answer, and nothing else."""
    unknown = {row.key: row.code for row in evidence.rows if row.status == "unknown"}
    interrupted = {key for key, code in unknown.items() if code == "interrupted"}
    if lacking := evidence.kill.sending - interrupted:
        yield f"{len(lacking)} records were under way at the kill and are in doubt no more"
    if more := interrupted - evidence.kill.sending - evidence.stopped():
        yield f"{len(more)} records are in doubt for a kill, and were not under way"
    lost = evidence.unanswered()
    if len(unknown) - len(interrupted) > len(lost) * evidence.batch_size:
        yield f"{len(unknown) - len(interrupted)} records are in doubt for {len(lost)} lost answers"
    numbers = {request["number"] for request in lost}
    certain = {contact.key for contact in evidence.contacts if contact.request in numbers} - unknown.keys()
    if certain:
        yield f"{len(certain)} records are certain although their answer was lost"


def summaries(evidence: Evidence) -> Iterator[str]:
    """Each mapped task's XCom says what the rows of its shard say."""
    status = {row.key: row.status for row in evidence.rows}
    codes = {row.key: row.code for row in evidence.rows if row.status != "succeeded"}
    last = evidence.last_tries()
    for shard, keys in enumerate(evidence.shards):
        found = evidence.summaries.get(shard)
        if found is None:
            yield f"shard {shard} left no summary"
            continue
        count = Counter(status.get(key, "missing") for key in keys)
        expected = {
            "num_planned": len(keys),
            "num_delivered": count["succeeded"],
            "num_rejected": count["rejected"],
            "num_unknown": count["unknown"],
            "num_undelivered": count["rejected"] + count["unknown"],
            **dict.fromkeys(("num_invalid", "num_failed", "num_duplicate", "num_held", "num_changed"), 0),
            "error_codes": dict(Counter(codes[key] for key in keys if key in codes)),
        }
        tries = last[shard].number if shard in last else 0
        if tries == 1:
            expected |= {"num_succeeded": count["succeeded"], "num_skipped": 0}
        elif tries == 2 and shard in evidence.kill.delivered:
            before = evidence.kill.delivered[shard]
            expected |= {"num_succeeded": count["succeeded"] - before, "num_skipped": before}
        for name, value in expected.items():
            if found[name] != value:
                yield f"shard {shard}: {name} is {found[name]} in XCom, {value} by the table"
        if found["num_planned"] != sum(found[f"num_{word}"] for word in COUNTED):
            yield f"shard {shard}: the counts do not add up to the records planned"


def runs(evidence: Evidence) -> Iterator[str]:
    """The table of runs says what XCom says, and a try that died has no end."""
    for one in evidence.tries:
        run = evidence.runs.get((one.shard, one.number))
        if run is None:
            yield f"shard {one.shard}: try {one.number} has no row"
        elif one == evidence.last_tries()[one.shard]:
            found = evidence.summaries.get(one.shard, {})
            names = [name for name in run if name.startswith("num_") or name == "status"]
            different = [name for name in names if run[name] != found.get(name)]
            if different or not names:
                yield f"shard {one.shard}: XCom and the row of try {one.number} differ in {', '.join(different)}"
        elif one.worker == evidence.kill.worker and (run["completed_at"], run["status"]) != (None, "running"):
            yield f"shard {one.shard}: try {one.number} died, and its row says {run['status']}"
    if len(evidence.runs) != len(evidence.tries):
        yield f"{len(evidence.runs)} rows for {len(evidence.tries)} tries"


def requests(evidence: Evidence) -> Iterator[str]:
    """The vendor's requests are those that tries counted, and those of tries that died before they could."""
    rest = dead_requests(evidence)
    again = sum(request["status"] == 429 for request in evidence.requests)
    under_way = -(-len(evidence.kill.sending) // evidence.batch_size)
    # A mark whose request had not left yet, and a request that was sent again under another mark.
    if not max(1, evidence.kill.batches - under_way) <= rest <= evidence.kill.batches + again:
        yield f"{rest} requests are counted by no try; the dead tasks had marked {evidence.kill.batches}"


def dead_requests(evidence: Evidence) -> int:
    """Return how many requests the vendor saw that no try has counted."""
    return len(evidence.requests) - sum(run["num_requests"] or 0 for run in evidence.runs.values())
