"""Whatever ends a push, and wherever: every row that was read has one outcome, and is counted once."""

from __future__ import annotations

import gc
import random
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from airflow_provider_contacts.engine import admission, departures, push, recorder, responses, results, steps
from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.errors import LedgerError, SupersededError
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.batch import Finished
from airflow_provider_contacts.task import summary
from airflow_provider_contacts.task.summary import Report
from tests.support.alarms import OutOfTime, raising
from tests.support.fake_vendor import (
    APPLIED_AND_LOST,
    READABLE,
    Deed,
    Pushed,
    World,
    answers,
    failing,
    first,
    last_words,
    names,
    noted,
    outcomes_of,
)

FILES = frozenset(
    str(one.__file__) for one in (admission, departures, push, recorder, responses, results, steps, summary)
)


def report_of(wanted: Any = "all") -> Report:
    return Report(
        vendor="fake", sync_id="s", sync_run_id="r", destination_object=None, outcomes_table=None, wanted=wanted
    )


def check_report(report: Report, read: list[int], at: object = None) -> None:
    """Check that each row that was read is counted once, and in the list once."""
    counts = report.counts()
    assert counts["num_planned"] == len(read), at
    assert sorted(entry["row_index"] for entry in report.entries) == read, at
    assert Counter(entry["status"] for entry in report.entries) == {
        status.value: counts[f"num_{status.value}"]
        for status in Status
        if status is not Status.SENDING and counts[f"num_{status.value}"]
    }, at


def rows_of(read: list[int], count: int) -> Iterator[dict[str, Any]]:
    for index in range(count):
        read.append(index)
        # Copies, people under one key, and what our own check refuses.
        yield {"name": f"n{index % (count - 3)}", "age": -1 if index == 4 else index // (count - 2)}


def counted(
    world: World, report: Report, rows: Iterator[Any], alarm: Any = None, seconds: float = 0.0, **options: Any
) -> str:
    """Push and count as a task does; return the class of what it raised."""
    signals = options.pop("interrupts", None) or Interrupts()
    running = world.execution(rows, interrupts=signals, **options).push
    before = sys.gettrace()
    try:
        with signals.deferred():
            if alarm is not None:
                sys.settrace(alarm)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            deque(report.counted(running), maxlen=0)
            # An alarm after this is not the push's.
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:  # noqa: BLE001  # what it raises is what is looked at
        return type(error).__name__
    finally:
        sys.settrace(before)
    return ""


class Alarm:
    """Sends a signal to this process at the nth line (from 1) that is run in some files; ``lines`` are those so far."""

    def __init__(self, at: int = 0, number: int = signal.SIGALRM) -> None:
        self.lines: list[tuple[str, int]] = []
        self._at, self._number = at, number

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "call":
            return self if frame.f_code.co_filename in FILES else None
        if event == "line":
            self.lines.append((frame.f_code.co_filename, frame.f_lineno))
            if len(self.lines) == self._at:
                signal.raise_signal(self._number)
        return self


def alarmed(alarm: Alarm, at: int, **options: Any) -> str:
    """Push to a vendor that refuses one request and loses the answer to the next one; return what ended it."""
    read: list[int] = []
    report, world = report_of(), World(first(answers(429), APPLIED_AND_LOST))
    error = counted(world, report, rows_of(read, 9), alarm, **options)
    check_report(report, read, at)
    assert set(world.server.created().values()) <= {1}
    assert "sending" not in world.table.statuses().values()
    return error


RECONCILE: dict[str, Any] = {"vendor": READABLE, "on_unknown": "reconcile"}


@pytest.mark.parametrize(
    ("options", "number"), [({}, signal.SIGALRM), (RECONCILE, signal.SIGALRM), (RECONCILE, signal.SIGINT)]
)
def test_a_signal_at_any_line_costs_no_outcome(options: dict[str, Any], number: int) -> None:
    undisturbed = Alarm()
    assert alarmed(undisturbed, 0, **options) == ""
    # The first two times that a line is run, and some of the others.
    times: Counter[tuple[str, int]] = Counter()
    moments = []
    for at, line in enumerate(undisturbed.lines, 1):
        times[line] += 1
        if at % 7 == 0 or (times[line] <= 2 and number == signal.SIGALRM):
            moments.append(at)
    assert len(times) > 350
    for at in moments:
        with raising(number):
            assert alarmed(Alarm(at, number), at, **options) == "OutOfTime", at


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Collect no garbage: what a handler raises in another library's callback on a collection is lost."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_a_real_alarm_at_any_moment_costs_no_outcome() -> None:
    chance, interrupted = random.Random(7), 0  # moments, not secrets
    for attempt in range(60):
        read: list[int] = []
        report, world = report_of(), World(first(answers(429), APPLIED_AND_LOST, then=Deed()))
        with raising():
            error = counted(world, report, rows_of(read, 300), seconds=chance.uniform(0.0001, 0.03))
        interrupted += error == "OutOfTime"
        # A row that the source was about to give, when it was interrupted itself, was not given.
        given = report.counts()["num_planned"]
        assert given in {len(read), len(read) - 1}, attempt
        check_report(report, read[:given], attempt)
        assert set(world.server.created().values()) <= {1}
    assert interrupted > 10


def test_a_source_that_hangs_is_interrupted_at_once() -> None:
    forever = threading.Event()

    def rows() -> Iterator[dict[str, Any]]:
        yield from names(150)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        forever.wait(30)

    report, world = report_of(), World()
    with raising():
        assert counted(world, report, rows()) == "OutOfTime"
    check_report(report, list(range(150)))
    # What was read is not sent any more.
    assert report.counts()["num_succeeded"] <= 100


@pytest.mark.parametrize("row", [0, 50, 99, 100, 150, 201, 499])
def test_what_interrupts_the_source_costs_no_outcome(row: int) -> None:
    world = World()

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(500):
            if index == row:
                raise OutOfTime
            yield {"name": f"n{index}"}

    pushed = world.push(rows())
    assert isinstance(pushed.error, OutOfTime)
    assert list(pushed.statuses()) == list(range(row))
    assert "sending" not in world.table.statuses().values()


def test_a_step_that_hangs_is_interrupted_in_the_end() -> None:
    signals = Interrupts(patience=0.05)

    def hang() -> None:
        with signals.deferred():
            signal.raise_signal(signal.SIGALRM)
            assert signals.pending
            threading.Event().wait(30)

    with raising(), pytest.raises(OutOfTime):
        hang()


def test_a_signal_after_the_last_step_is_heard_by_the_caller() -> None:
    signals = Interrupts()
    with raising():
        with pytest.raises(OutOfTime), signals.deferred():
            signal.raise_signal(signal.SIGALRM)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        # Outside of a step the handler is the one that was there.
        with pytest.raises(OutOfTime):
            signal.raise_signal(signal.SIGALRM)


def test_other_threads_have_no_signals() -> None:
    before, found = signal.getsignal(signal.SIGALRM), []

    def run() -> None:
        with Interrupts().deferred():
            found.append(signal.getsignal(signal.SIGALRM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]


def test_what_a_source_counts_itself_is_counted_whole() -> None:
    signals, report, world = Interrupts(), report_of(), World()

    def rows() -> Iterator[dict[str, Any]]:
        yield from names(10)
        with signals.whole():
            signal.raise_signal(signal.SIGALRM)
            report.add(Finished(others=[Outcome(record_identifier="own", row_index=10, status=Status.FAILED)]))
        yield {"name": "later"}

    with raising():
        assert counted(world, report, rows(), interrupts=signals) == "OutOfTime"
    check_report(report, list(range(11)))


# Without a signal.


def read_and_pushed(world: World, count: int, **options: Any) -> tuple[list[int], Pushed]:
    read: list[int] = []
    rows = names(count)
    rows[150]["age"] = -1  # our own check refuses one
    return read, world.push(noted(rows, read), **options)


@pytest.mark.parametrize("error", [LedgerError, SupersededError])
@pytest.mark.parametrize("call", [1, 2, 5])
@pytest.mark.parametrize("point", ["claim:before", "claim:after", "settle:before", "settle:after", "states:before"])
def test_every_row_that_was_read_has_one_outcome_whatever_fails(
    point: str, call: int, error: type[LedgerError]
) -> None:
    world = World()
    read, pushed = read_and_pushed(world, 500, trouble=failing(point, call, error=error))
    assert sorted(pushed.statuses()) == read
    assert len(read) <= 500
    assert set(world.server.created().values()) <= {1}
    delivered = {f"n{index}" for index, status in pushed.statuses().items() if status == "succeeded"}
    assert delivered <= set(world.server.created())


def test_a_ledger_that_is_broken_for_good_costs_no_outcome_of_what_was_answered() -> None:
    world = World()
    error = RuntimeError("a bug, not a database that is away")

    def trouble(point: str, call: int) -> None:
        if point == "states:before" and call > 1:
            raise error

    _, pushed = read_and_pushed(world, 300, trouble=trouble)
    assert pushed.error is error
    assert sorted(pushed.statuses()) == list(range(100))


@pytest.mark.parametrize("heard", [0, 1, 5, 30])
def test_a_caller_who_stops_listening_loses_no_outcome(heard: int) -> None:
    world = World()
    execution = world.execution(names(300))
    outcomes = outcomes_of(execution.push)
    given: list[Outcome] = [next(outcomes) for _ in range(heard)]
    outcomes.close()
    everything = [*given, *last_words(execution.push)]
    assert sorted(one.row_index for one in everything) == list(range(100 if heard else 0))
    assert "sending" not in world.table.statuses().values()
    assert set(world.server.created().values()) <= {1}


# The counters.


def test_a_report_counts_the_confirmed_without_looking_at_them() -> None:
    world, report = World(), report_of("undelivered")
    deque(report.counted(world.execution([*names(50), {"name": 7}]).push), maxlen=0)
    assert (report.counts()["num_succeeded"], report.counts()["num_invalid"]) == (50, 1)
    assert [entry["row_index"] for entry in report.entries] == [50]
