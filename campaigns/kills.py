"""Kill the task process at random moments, run the next try, and count what was created twice or lost.

A job is one push of a few records. It is killed once to three times, a try each, and ends when Airflow would not try
again. Half of the kills come at a random moment of the try's life, by another process; half at a random call or
return of one of the package's functions, which also finds the places where a process spends no time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from campaigns.judge import Book, Finding, Said, Simulated, find, present
from campaigns.people import key_in, reading_extra
from campaigns.task import Ended, Order

RECORDS = 24
BATCH = 4
MOST_TRIES = 12

KNOBS: Mapping[str, str] = {"all__latency": "10ms-120ms", "all__reply_delay": "2ms-20ms"}
"""So that requests are on their way for a while; both together are far below the judge's patience."""

BY_THE_CLOCK = 0.5
SKEW = 0.6

OPTIONS: Mapping[str, Any] = {"max_in_flight": 2, "request_timeout": 2.0}
RECONCILE_DELAY = 0.3
READING = 8.0
"""Seconds that reading back takes at these options: a dead try's request may still be running for seven of them."""

MOMENTS: Mapping[str, str] = {
    "before": "nothing was marked or settled yet",
    "between": "nothing was marked, part of the records was settled",
    "marked": "marked, and the request never arrived",
    "in_flight": "the request had arrived, and its records were created after the death",
    "created": "the records were created, and the answer was not settled",
    "after": "every record was settled",
}
"""What a kill left behind. One kill can leave several of the middle ones: two requests are in flight."""

Kill = Callable[[Order, Mapping[str, float]], Ended]
"""Runs one try and kills it."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one vendor and database went through.

    :param moments: kills by what they left behind.
    :param ends: jobs by the state of their last try.
    :param complaints: summaries that do not fit the rows, jobs that did not end.
    """

    vendor: str
    book: str
    on_unknown: str
    jobs: int = 0
    tries: int = 0
    kills: int = 0
    finding: Finding = field(default_factory=Finding)
    moments: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return what is said while a campaign runs."""
        found = f"{self.kills} kills, {self.finding.twice} twice, {self.finding.lost} lost"
        return f"{self.vendor}, {self.book}, {self.on_unknown}: {found}"


@dataclass(frozen=True, slots=True)
class Death:
    """What was known when a try was killed.

    :param there: keys at the vendor.
    :param arrived: requests that had arrived there.
    """

    said: Mapping[str, Said]
    there: frozenset[str]
    arrived: int


class Lane:
    """The jobs of one vendor with one outcome table, one after the other.

    :param first_job: number of the first one; each takes the next.
    """

    def __init__(
        self, run: Kill, sim: Simulated, book: Book, vendor: str, on_unknown: str, *, seed: int, first_job: int
    ) -> None:
        self._run, self._sim, self._book = run, sim, book
        self._random = Random(f"{seed} {vendor} {book.name} {on_unknown}")
        self._job = first_job
        self._life, self._steps = 0.0, 0
        connection = sim.connections[f"{vendor}_default"]
        extra = {**connection.get("extra", {}), **reading_extra(vendor, RECONCILE_DELAY)}
        self._connections = {f"{vendor}_default": {**connection, "extra": extra}, "outcomes": book.connection}
        self.tally = Tally(vendor=vendor, book=book.name, on_unknown=on_unknown)

    def kill(self, count: int) -> Tally:
        """Measure a try that nobody kills, then run jobs until so many were killed."""
        # A step that no try reaches: nobody is killed, and all are counted.
        self._steps = self._job_of(0, count_steps=True).steps
        self._life = self._job_of(0).seconds
        while self.tally.kills < count:
            before = self.tally.kills
            self._job_of(min(self._random.randint(1, 3), count - before))
        return self.tally

    def _job_of(self, kills: int, *, count_steps: bool = False) -> Ended:
        """Run one job to its end, and judge it."""
        tally, sim = self.tally, self._sim
        since = sim.count(tally.vendor)
        order = self._order()
        deaths: list[Death] = []
        story: list[str] = []
        ended = Ended(state="up_for_retry")
        while ended.state in {None, "up_for_retry"} and order.try_number <= MOST_TRIES:
            share = self._left(deaths)
            plan = (
                self._plan(share, again=bool(deaths)) if len(deaths) < kills else {"step": 10**9} if count_steps else {}
            )
            ended = self._run(order, plan)
            tally.tries += 1
            story.append(f"try {order.try_number} {plan or ''} {ended.state} {ended.error or ''}".strip())
            if ended.state is None:
                deaths.append(self._death(order, since))
            order = replace(order, try_number=order.try_number + 1)
        self._judge(order, ended, deaths, since, story)
        return ended

    def _order(self) -> Order:
        self._job += 1
        return Order(
            vendor=self.tally.vendor,
            connections=self._connections,
            job=self._job,
            records=RECORDS,
            batch_size=BATCH,
            on_unknown=self.tally.on_unknown,
            options=OPTIONS,
        )

    def _plan(self, share: float, *, again: bool) -> dict[str, float]:
        """Draw when a try dies: more often late than early, since it begins with reading and connecting.

        :param share: how much of the job is left to it.
        :param again: whether it may have doubts to read back, which takes longer than all the rest.
        """
        part = self._random.random() ** SKEW * share
        if self._random.random() < BY_THE_CLOCK:
            reading = READING * self._random.randint(0, 1) if again and self.tally.on_unknown == "reconcile" else 0.0
            return {"after": (self._life + reading) * part}
        return {"step": max(1, round(self._steps * part))}

    @staticmethod
    def _left(deaths: Sequence[Death]) -> float:
        """Return the share of a whole try's life that the next one may have, which begins by reading, as each does."""
        if not deaths:
            return 1.0
        return 0.3 + 0.7 * (1 - len(deaths[-1].said) / RECORDS)

    def _death(self, order: Order, since: int) -> Death:
        state = self._sim.state(self.tally.vendor, since=since)
        said = self._book.said(order.dag_id)
        return Death(said, frozenset(present(state)), sum(state["requests"].values()))

    def _judge(self, order: Order, ended: Ended, deaths: Sequence[Death], since: int, story: Sequence[str]) -> None:
        tally = self.tally
        state = self._sim.at_rest(tally.vendor, since=since)
        found = find(present(state), self._book.said(order.dag_id), order.job, RECORDS)
        tally.jobs += 1
        tally.kills += len(deaths)
        tally.finding += found
        tally.ends[ended.state or "killed"] += 1
        for death in deaths:
            tally.moments.update(moments(death, state))
        complaint = disagreement(ended, found)
        if complaint or found.twice or found.lost:
            said = "; ".join([complaint, *story, *trace(self._sim.state(tally.vendor, since=since, requests=True))])
            tally.complaints.append(f"{tally.vendor}, {tally.book}, job {order.job}: {said}")


def moments(death: Death, state: Mapping[str, Any]) -> set[str]:
    """Return what a kill left behind, as :data:`MOMENTS` has it."""
    marked = {key for key, row in death.said.items() if row.status == "sending"}
    if not marked:
        settled = len(death.said)
        return {"before" if not settled else "after" if settled == RECORDS else "between"}
    arrived = {key_in(one["received"]) for one in state["contacts"] if one["request"] <= death.arrived}
    found = {
        "created": marked & death.there,
        "in_flight": (marked & arrived) - death.there,
        "marked": marked - arrived - death.there,
    }
    return {name for name, keys in found.items() if keys}


def trace(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield what happened at the vendor while a job ran, for whoever wants to know why it went wrong."""
    first = min((contact["request"] for contact in state["contacts"]), default=0)
    for seen in state["request_log"]:
        if seen["number"] >= first:
            what = f"{seen['method']} {seen['status']} stored {seen['stored']}"
            yield f"request {seen['number']} {what} at {seen['at']:.2f}"
    for key, ids in present(state).items():
        if len(ids) > 1:
            requests = [one["request"] for one in state["contacts"] if str(one["id"]) in ids]
            yield f"{key} by requests {requests}"


def disagreement(ended: Ended, found: Finding) -> str:
    """Return how the last try's summary differs from the rows, if it does."""
    summary = ended.summary
    if summary is None:
        return f"ended as {ended.state} without a summary: {ended.error}"
    said = {
        "planned": (summary["num_planned"], found.records),
        "succeeded": (summary["num_succeeded"] + summary["num_skipped"], found.succeeded),
        "unknown": (summary["num_unknown"], found.doubted),
        "failed": (summary["num_failed"], found.failed),
    }
    return "; ".join(
        f"{name} {one} in XCom, {other} in the table" for name, (one, other) in said.items() if one != other
    )


def plan_of(kills: int, vendors: Sequence[str], books: Sequence[str]) -> list[tuple[str, str, int]]:
    """Spread kills over every vendor with every database, the remainder over the first ones."""
    pairs = [(vendor, book) for book in books for vendor in vendors]
    each, more = divmod(kills, len(pairs))
    return [(vendor, book, each + (index < more)) for index, (vendor, book) in enumerate(pairs)]


def complaints(tallies: Sequence[Tally]) -> list[str]:
    """Return everything that breaks the promise."""
    found = [text for tally in tallies for text in tally.complaints]
    for tally in tallies:
        where = f"{tally.vendor}, {tally.book}, {tally.on_unknown}"
        if tally.finding.twice:
            found.append(f"{where}: {tally.finding.twice} records exist twice")
        if tally.finding.lost:
            found.append(f"{where}: {tally.finding.lost} records are lost")
    return found
