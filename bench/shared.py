"""Eight pushes share one rate, from end to end: what ``python -m bench.budget`` measures.

Each process pushes by the hook, a record a request, with more records than it can send, until its time is over. Their
connection names the store and the rate. The vendor is one simulator, whose list of requests says when each came, and
whose contacts say of which process it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_contacts.pacing.shared import SharedRate
from airflow_provider_contacts.simulator.messages import Seen
from bench.process import BrokenError, Place
from bench.pushing import VENDOR, Order, Pushed, push_all
from campaigns.judge import simulator
from campaigns.people import key_in

LEAST_USED = 0.9
"""Share of the rate that must be used; 0.94 is meant where no burst is stated."""

UNFAIR = 0.1
"""Part of an equal share by which one's own may be off."""

START = 1.0
"""Seconds after the last process's first request in which what was held up at the start still comes."""

SPARE = 5.0
"""Seconds that everyone pushes beyond those that count, so that nobody ends or begins within them."""

MOST_RECORDS = 100_000

READY = {"login": "", "password": "ready-token"}
"""What the connection says where no token is to be fetched."""

HEAD = ("store", "processes", "rate", "requests", "seconds", "mean", "most in a second", "after the start",
        "least share", "largest share", "not succeeded")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came at the vendor.

    :param moments: of each process, when the requests came that created its contacts, in seconds since 1970.
    :param since: when all had begun, and :data:`START` more; from there ``seconds`` count.
    :param arrivals: of all create requests, whatever became of them.
    :param failed: requests that created nothing, and records that did not succeed.
    """

    store: str
    rate: SharedRate
    seconds: float
    since: float
    moments: Sequence[Sequence[float]]
    arrivals: Sequence[float]
    failed: int

    @property
    def counts(self) -> list[int]:
        """Requests of each process in the seconds that count."""
        return [sum(self.since <= at < self.since + self.seconds for at in one) for one in self.moments]

    @property
    def mean(self) -> float:
        """Requests a second in these."""
        return sum(self.counts) / self.seconds

    @property
    def shares(self) -> list[float]:
        """Share of each process."""
        return [one / max(1, sum(self.counts)) for one in self.counts]

    @property
    def most(self) -> int:
        """The most requests in any second, the start included."""
        return most_in_a_second(self.arrivals)

    @property
    def most_later(self) -> int:
        """The most requests in any second after the start."""
        return most_in_a_second([at for at in self.arrivals if at >= self.since])

    def row(self) -> tuple[str | int, ...]:
        """Return the row of the table."""
        return (
            self.store, len(self.moments), f"{self.rate.requests_per_second:g}/s", sum(self.counts),
            f"{self.seconds:g}", f"{self.mean:.1f}/s", self.most, self.most_later, f"{min(self.shares):.2%}",
            f"{max(self.shares):.2%}", self.failed,
        )  # fmt: skip

    def complaints(self) -> Iterator[str]:
        """Yield what is not as it should be."""
        rate, equal = self.rate.requests_per_second, 1.0 / len(self.moments)
        if not LEAST_USED * rate <= self.mean <= rate:
            yield f"{self.store}: {self.mean:.1f} requests a second, {LEAST_USED * rate:g} to {rate:g} are wanted"
        if self.most > rate + (self.rate.burst or 0):
            yield f"{self.store}: {self.most} requests in a second, {self.most_later} after the start"
        if min(self.shares) < equal * (1 - UNFAIR) or max(self.shares) > equal * (1 + UNFAIR):
            shares = ", ".join(f"{share:.2%}" for share in self.shares)
            yield f"{self.store}: shares {shares}; {equal:.2%} is fair, a tenth of that more or less is let pass"
        if self.failed:
            yield f"{self.store}: {self.failed} requests created nothing, or records did not succeed"
        if any(not one or one[-1] < self.since + self.seconds for one in self.moments):
            yield f"{self.store}: a process ended before its time"


def share_by_pushing(
    place: Place,
    name: str,
    store: Mapping[str, Any],
    shared: SharedRate,
    *,
    senders: int,
    seconds: float,
    ready_token: bool = False,
) -> Found:
    """Let processes push all they can.

    :param name: of the store, for the table.
    :param store: Airflow's connection of the store.
    :param ready_token: the connection holds a token, instead of a client id and secret with which each fetches one.
    :raises BrokenError: if a process fails.
    """
    stated = {"rate_limit_conn_id": shared.conn_id, "requests_per_second": shared.requests_per_second}
    if shared.burst is not None:
        stated["burst"] = shared.burst
    orders = [
        Order(number=number, records=MOST_RECORDS, batch_size=1, seconds=seconds + SPARE) for number in range(senders)
    ]
    with simulator(place.folder, 1) as simulated:
        vendor = simulated.connections[f"{VENDOR}_default"]
        vendor = {**vendor, "extra": {**vendor["extra"], **stated}, **(READY if ready_token else {})}
        pushed = push_all(place, {f"{VENDOR}_default": vendor, shared.conn_id: store}, orders)
        creates, contacts = simulated.creates(VENDOR), simulated.state(VENDOR)["contacts"]
    moments = moments_of(creates, contacts, senders)
    return Found(
        store=name,
        rate=shared,
        seconds=seconds,
        since=max(one[0] for one in moments) + START,
        moments=moments,
        arrivals=[one.at for one in creates],
        failed=len(creates) - sum(map(len, moments)) + sum(map(not_succeeded, pushed)),
    )


def most_in_a_second(arrivals: Sequence[float]) -> int:
    """Return the most arrivals in any second, which is open at its beginning."""
    ordered = sorted(arrivals)
    most = first = 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def moments_of(creates: Sequence[Seen], contacts: Sequence[Any], senders: int) -> list[list[float]]:
    """Return when the requests of each process came that created something.

    :raises BrokenError: for a process without any.
    """
    owners = {contact["request"]: number_in(contact["received"]) for contact in contacts}
    moments: list[list[float]] = [[] for _ in range(senders)]
    for one in creates:
        if one.number in owners:
            moments[owners[one.number]].append(one.at)
    if not all(moments):
        raise BrokenError("a process has created nothing")
    return moments


def number_in(received: Mapping[str, Any]) -> int:
    """Return the number of the order that a contact is of."""
    return int(key_in(received).partition("x")[0].removeprefix("k"))


def not_succeeded(pushed: Pushed) -> int:
    """Return the outcomes of a process that are no success."""
    return sum(count for status, count in pushed.statuses.items() if status != "succeeded")
