"""Whatever the vendor does, wherever a worker dies: one outcome a record, no record twice, no doubt called success."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.errors import ContactsError, LedgerError
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.reconcile.findings import MOST_ROUNDS
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions, OnUnknown
from airflow_provider_contacts.vendor_kit.vendor import Limits, Payload
from tests.support.fake_vendor import (
    ALWAYS_HONEST,
    APPLIED_AND_GARBAGE,
    CONTRADICTORY,
    HONEST,
    NOT_CONNECTED,
    READABLE,
    SHORT,
    SHUFFLED,
    UNAUTHORIZED,
    Deed,
    Fuse,
    Killed,
    Pushed,
    World,
    answers,
    first,
    noted,
    outcomes_of,
)

ATTEMPTS = 3
MOST_RECORDS = 14
SLOWEST = 61.0  # seconds: a reading must wait for the slowest creation
NAMES = [f"n{index}" for index in range(MOST_RECORDS)]

WHENEVER = st.sampled_from([0.01, 0.5, 2.0, 30.0, 70.0])
LIES = st.builds(
    Deed,
    status=st.sampled_from([None, 408, 500, 502, 503, 504, 200]),
    applies=st.booleans(),
    body=st.just(b"{}"),
    delay=WHENEVER,
    lag=st.sampled_from([0.0, 0.4, 20.0, 60.0]),
)
DEEDS = st.one_of(
    st.just(HONEST),
    st.builds(Deed, delay=WHENEVER),
    LIES,
    LIES,
    st.sampled_from([NOT_CONNECTED, SHORT, SHUFFLED, CONTRADICTORY, APPLIED_AND_GARBAGE, UNAUTHORIZED]),
    st.sampled_from([answers(429), answers(425), answers(403), answers(429, retry_after="5")]),
    st.sampled_from([answers(429, retry_after="900"), answers(503, retry_after="3")]),
)
READS = st.one_of(
    st.just(HONEST),
    st.sampled_from([answers(500), answers(404), answers(401), answers(429, retry_after="5"), NOT_CONNECTED]),
    st.sampled_from([Deed(status=None), Deed(body=b"{}"), Deed(body=b'{"items": [], "next": 1}')]),
)
VERDICTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["rejected", "again", "doubt", "stop"]), max_size=3)
STANDINGS = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(
        st.sampled_from([status for status in Status if status not in {Status.SKIPPED, Status.DUPLICATE}]),
        st.booleans(),
        st.sampled_from(["run-0", "run-1"]),
        st.sampled_from([0.0, 50.0, 5000.0]),
    ),
    max_size=5,
)
POINTS = st.sampled_from(
    [
        f"{word}:{moment}"
        for word in ("states", "claim", "settle", "note", "sent", "holders")
        for moment in ("before", "after")
    ]
)
ROWS = st.lists(
    st.one_of(
        st.sampled_from(NAMES).map(lambda name: {"name": name}),
        st.builds(lambda name, age: {"name": name, "age": age}, st.sampled_from(NAMES), st.sampled_from([-1, 1, 2])),
        st.sampled_from([None, {}, {"name": 7}]),
    ),
    max_size=MOST_RECORDS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How one execution lives and dies."""

    run: str
    fuse: int | None  # the call at which it dies
    signal: float | None  # seconds after which it is told to stop
    trouble: tuple[str, int, int] | None  # what of the ledger fails, and from which call on
    pause: float  # seconds until the next one


LIVES = st.lists(
    st.builds(
        Life,
        run=st.sampled_from(["run-1", "run-1", "run-2"]),
        fuse=st.none() | st.integers(1, 40),
        signal=st.none() | st.sampled_from([0.3, 1.0, 40.0, SLOWEST, 2 * SLOWEST]),
        trouble=st.none() | st.tuples(POINTS, st.integers(1, 4), st.sampled_from([1, 2, 99])),
        pause=st.sampled_from([0.0, 1.0, 70.0, 5000.0]),
    ),
    min_size=1,
    max_size=4,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is pushed, what the vendor does and what the table holds, in executions that live and die."""

    rows: list[Any]
    deeds: list[Deed]
    reads: list[Deed]
    verdicts: dict[str, str]
    refused: set[str]
    standings: dict[str, tuple[Status, bool, str, float]]
    names: bool
    atomic: bool
    limits: Limits
    lives: list[Life]

    def world(self) -> World:
        world = World(
            first(*self.deeds),
            verdicts=lambda payload: self.verdicts.get(payload["name"], "created"),
            refuses=lambda payload: payload["name"] in self.refused,
            reads=first(*self.reads),
            names=self.names,
            atomic=self.atomic,
        )
        for name, (status, exists, run, age) in self.standings.items():
            world.table.put(name, status, sync_run_id=run, age=age, payload={"name": name} if exists else None)
            if status is Status.SUCCEEDED or (exists and status in {Status.SENDING, Status.UNKNOWN}):
                world.server.applied.append({"name": name})
                world.server.put({"name": name})
        return world


def troubled(trouble: tuple[str, int, int] | None) -> Callable[[str, int], None]:
    def tell(point: str, call: int) -> None:
        if trouble is not None and point == trouble[0] and trouble[1] <= call < trouble[1] + trouble[2]:
            raise LedgerError("away")

    return tell


def on_its_way(world: World) -> Counter[str]:
    """Return how often each name exists or is about to."""
    coming: list[Payload] = [payload for _, payloads in world.server.arrivals for payload in payloads]
    return Counter(payload["name"] for payload in (*world.server.applied, *coming))


def check_outcomes(world: World, pushed: Pushed, read: list[int]) -> None:
    """Check what one execution told, if it lived to tell it."""
    assert pushed.error is None or isinstance(pushed.error, ContactsError | Killed), pushed.error
    if not isinstance(pushed.error, Killed):
        assert list(pushed.statuses()) == read
    there = on_its_way(world)
    for outcome in pushed.outcomes:
        check_outcome(outcome, there[outcome.record_identifier])


def check_outcome(outcome: Outcome, times: int) -> None:
    if outcome.status in {Status.SUCCEEDED, Status.SKIPPED}:
        assert times >= 1, outcome
    if outcome.status in {Status.REJECTED, Status.INVALID} and outcome.error_code != "key_not_unique":
        assert times == 0, outcome
    if outcome.status is Status.FAILED and outcome.error_code not in {"claimed_elsewhere", "not_attempted"}:
        assert times == 0, outcome


def check_rows(world: World) -> None:
    """Check that the table says nothing false, once everything has arrived."""
    world.later()
    there = world.server.created()
    for name, times in there.items():
        assert world.table.rows[name].status in {Status.SUCCEEDED, Status.UNKNOWN, Status.SENDING}, (name, times)
    for name, row in world.table.rows.items():
        assert row.status is not Status.SUCCEEDED or there[name] >= 1, name


def live(world: World, case: Case, life: Life, on_unknown: OnUnknown) -> None:
    """Let one execution live to its end, and check what it did."""
    begun, requests = world.time.seconds, len(world.server.requests)
    read: list[int] = []
    pushed = world.push(
        noted(case.rows, read),
        run=life.run,
        limits=case.limits,
        on_unknown=on_unknown,
        assumptions=Assumptions(refusals_atomic=case.atomic),
        request_attempts=ATTEMPTS,
        reconcile_delay=SLOWEST,
        vendor=READABLE,
        renewable=True,
        fuse=Fuse(life.fuse),
        trouble=troubled(life.trouble),
        stopping=lambda: life.signal is not None and world.time.seconds - begun >= life.signal,
    )
    event(f"ended: {type(pushed.error).__name__}")
    check_outcomes(world, pushed, read)
    # A tree of halves has fewer than two nodes a record; each is tried so often, and once more with a new credential.
    rounds = MOST_ROUNDS if on_unknown == "reconcile" else 1
    assert len(world.server.requests) - requests <= 2 * len(case.rows) * (ATTEMPTS + 1) * rounds
    world.later(life.pause)


def end_honestly(world: World, case: Case, **options: Any) -> list[Outcome]:
    """Let a later run push the same rows to a vendor that is honest by now."""
    world.later()
    server = world.server
    server.script, server.reads = ALWAYS_HONEST, ALWAYS_HONEST
    server.refuses, server.verdicts = lambda _: False, lambda _: "created"
    final = world.push(case.rows, run="run-9", limits=case.limits, **options)
    assert final.error is None
    assert set(final.statuses()) == set(range(len(case.rows)))
    check_rows(world)
    assert max(world.server.created().values(), default=0) <= 1
    return final.outcomes


LIMITS = st.builds(Limits, batch_size=st.sampled_from([1, 3, 8]), max_in_flight=st.sampled_from([1, 2, 4]))
# More of them for a campaign.
EXAMPLES = int(os.environ.get("CONTACTS_EXAMPLES", "150"))
EASY = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
CASES = st.builds(
    Case,
    rows=ROWS,
    deeds=st.lists(DEEDS, max_size=14),
    reads=st.lists(READS, max_size=14),
    verdicts=VERDICTS,
    refused=st.sets(st.sampled_from(NAMES), max_size=3),
    standings=STANDINGS,
    names=st.booleans(),
    atomic=st.booleans(),
    limits=LIMITS,
    lives=LIVES,
)
DONE = {Status.SUCCEEDED, Status.SKIPPED, Status.INVALID, Status.DUPLICATE, Status.UNKNOWN}


@EASY
@given(CASES)
def test_no_record_is_created_twice_and_an_honest_vendor_gets_the_rest_in_the_end(case: Case) -> None:
    world = case.world()
    for life in case.lives:
        live(world, case, life, "hold")
        assert max(on_its_way(world).values(), default=0) <= 1
    check_rows(world)
    assert {outcome.status for outcome in end_honestly(world, case)} <= DONE


@EASY
@given(CASES)
def test_resending_never_makes_a_false_word(case: Case) -> None:
    world = case.world()
    for life in case.lives:
        before = on_its_way(world)
        live(world, case, life, "resend")
        for name, times in on_its_way(world).items():
            assert times - before[name] <= 1, "a record was created twice in one try"
    check_rows(world)


@EASY
@given(CASES)
def test_reconciling_creates_no_record_twice_and_settles_what_can_be_read(case: Case) -> None:
    world = case.world()
    for life in case.lives:
        live(world, case, life, "reconcile")
        assert max(on_its_way(world).values(), default=0) <= 1
    check_rows(world)
    for outcome in end_honestly(world, case, vendor=READABLE, on_unknown="reconcile"):
        # What was sent before this table was is not known, and nothing can be looked for.
        assert outcome.status is not Status.UNKNOWN or outcome.record_identifier in case.standings


@EASY
@given(
    rows=ROWS,
    deeds=st.lists(DEEDS, max_size=14),
    limits=LIMITS,
    runs=st.lists(st.sampled_from(["run-1", "run-1", "run-2"]), min_size=2, max_size=3),
    turns=st.lists(st.integers(0, 2), max_size=60),
)
def test_executions_that_overlap_do_not_send_a_record_twice(
    rows: list[Any], deeds: list[Deed], limits: Limits, runs: list[str], turns: list[int]
) -> None:
    world = World(first(*deeds))
    executions: list[Pushed] = []
    pushes: list[Iterator[Outcome]] = []

    def turn(which: int) -> None:
        if which == len(pushes) < len(runs):
            executions.append(world.execution(rows, run=runs[which], limits=limits, request_attempts=ATTEMPTS))
            pushes.append(outcomes_of(executions[-1].push))
        if which >= len(pushes):
            return
        try:
            executions[which].outcomes.extend([next(pushes[which])])
        except StopIteration:
            pass
        except ContactsError as error:
            executions[which].error = error

    for which in [*turns, *[which for which in range(len(runs)) for _ in range(len(rows) + 2)]]:
        turn(which)
    for execution in executions:
        assert execution.error is not None or list(execution.statuses()) == list(range(len(rows)))
        execution.statuses()
    assert max(on_its_way(world).values(), default=0) <= 1
    check_rows(world)
