"""An exception from outside (a time-out, a signal) at any line between the engine's queue and the counters."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest

from airflow_provider_contacts.engine import admission as intake
from airflow_provider_contacts.engine import push as engine
from airflow_provider_contacts.engine.push import Push
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.task import summary
from airflow_provider_contacts.task.reporting import count_outcomes
from airflow_provider_contacts.task.summary import MOST_IN_XCOM, OutcomeList, Report
from tests.support.fake_vendor import APPLIED_AND_LOST, READABLE, World, answers, first

COUNT = 12
FILES = frozenset(str(module.__file__) for module in (engine, intake, summary))


class OutOfTime(BaseException):
    """What a signal handler raises in the middle of anything."""


class Alarm:
    """Raises once, at the nth line that is run in some functions; after that, it only watches."""

    def __init__(self, at: int, wanted: Callable[[FrameType], bool]) -> None:
        self.lines = 0
        self._at = at
        self._wanted = wanted

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "call":
            return self if self._wanted(frame) else None
        if event == "line":
            self.lines += 1
            if self.lines == self._at:
                raise OutOfTime
        return self

    def run(self, work: Callable[[], object]) -> BaseException | None:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # what it raises is what is looked at
            return error
        finally:
            sys.settrace(before)
        return None


def report_of(wanted: Any = "all") -> Report:
    return Report(
        vendor="fake",
        sync_id="s",
        sync_run_id="r",
        destination_object=None,
        outcomes_table=None,
        outcomes=OutcomeList(wanted),
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


def rows(read: list[int]) -> Iterator[dict[str, Any]]:
    for index in range(COUNT):
        read.append(index)
        # Copies, people under one key, and what our own check refuses.
        yield {"name": f"n{index % 9}", "age": -1 if index == 4 else index // 10}


def interrupted(at: int, wanted: Callable[[FrameType], bool], **options: Any) -> tuple[list[int], Report, bool]:
    """Push, raise at one line, and return what was read, what was counted, and whether the line was reached."""
    read: list[int] = []
    report = report_of()
    world = World(first(answers(429), APPLIED_AND_LOST))
    push: Push = world.execution(rows(read), **options).push
    alarm = Alarm(at, wanted)
    error = alarm.run(lambda: count_outcomes(push, report))
    assert error is None or isinstance(error, OutOfTime)
    assert set(world.server.created().values()) <= {1}
    return read, report, alarm.lines >= at


def every_line(wanted: Callable[[FrameType], bool], **options: Any) -> int:
    """Interrupt at each line in turn; return how many there were."""
    at = 0
    while True:
        at += 1
        read, report, reached = interrupted(at, wanted, **options)
        counts = report.counts()
        assert counts["num_planned"] == len(read), at
        assert sorted(entry["row_index"] for entry in report.outcomes.entries) == read, at
        assert Counter(entry["status"] for entry in report.outcomes.entries) == {
            status.value: counts[f"num_{status.value}"]
            for status in Status
            if status is not Status.SENDING and counts[f"num_{status.value}"]
        }, at
        if not reached:
            return at


def in_function(*names: str) -> Callable[[FrameType], bool]:
    return lambda frame: frame.f_code.co_filename in FILES and frame.f_code.co_name in names


def test_between_the_queue_and_the_counters() -> None:
    wanted = in_function("_handed_over", "add", "plus", "run", "_drive")
    assert every_line(wanted) > 100


@pytest.mark.parametrize("options", [{}, {"vendor": READABLE, "on_unknown": "reconcile"}])
def test_while_results_are_booked_and_chunks_are_decided(options: dict[str, Any]) -> None:
    wanted = in_function(
        "_finish", "_book", "book", "_take", "_record", "take", "_decide_all", "_decide", "_look", "_cut"
    )
    assert every_line(wanted, **options) > 60


def test_while_requests_are_sent() -> None:
    assert every_line(in_function("_launch", "_send", "_submit", "_promote", "_write_results", "_settle")) > 60


def test_a_counter_that_is_interrupted_has_not_counted() -> None:
    one = Outcome(record_identifier="a", row_index=0, status=Status.REJECTED, error_code="bad")
    at, reached = 0, True
    while reached:
        at += 1
        report = report_of()
        alarm = Alarm(at, in_function("add", "plus"))
        alarm.run(lambda report=report: report.add(one))  # type: ignore[misc]  # bound at once
        report.add(one)
        assert (report.counts()["num_rejected"], report.tally.codes["bad"], len(report.outcomes.entries)) == (1, 1, 1)
        reached = alarm.lines >= at
    assert at > 10


def test_the_last_one_again_is_no_other_one() -> None:
    report = report_of()
    same = [Outcome(record_identifier="a", row_index=index, status=Status.FAILED, error_code="x") for index in (0, 1)]
    for one in (same[0], same[0], same[1], same[1]):
        report.add(one)
    assert (report.counts()["num_failed"], len(report.outcomes.entries)) == (2, 2)


def test_a_source_that_counts_records_of_its_own_is_no_reason_to_count_twice() -> None:
    report, world = report_of(), World()

    def source() -> Iterator[dict[str, Any]]:
        for index in range(300):
            if index == 250:
                # As a replay does of what it does not send; and then time is up.
                report.add(Outcome(record_identifier="own", row_index=1000, status=Status.FAILED))
                raise OutOfTime
            yield {"name": f"n{index}"}

    with pytest.raises(OutOfTime):
        count_outcomes(world.execution(source()).push, report)
    assert report.counts()["num_planned"] == 251
    assert len({entry["row_index"] for entry in report.outcomes.entries}) == 251


def test_a_list_that_is_thinned_out_when_time_is_up_says_so() -> None:
    def full() -> OutcomeList:
        found = OutcomeList("auto")
        for index in range(MOST_IN_XCOM):
            status = Status.FAILED if index < 3 else Status.SUCCEEDED
            found.entries.append({"row_index": index, "status": status.value})
        return found

    last = Outcome(record_identifier="z", row_index=MOST_IN_XCOM, status=Status.FAILED)
    for at in range(1, 12):
        found = full()
        Alarm(at, in_function("add")).run(lambda found=found: found.add(last))  # type: ignore[misc]  # bound at once
        found.add(last)
        assert (len(found.entries), found.complete) == (4, False)
