"""What a task logs while it pushes, and where its rows are when it fails."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import pandas as pd  # noqa: TID253  # a frame knows its length
import pytest

from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.batch import Finished
from airflow_provider_contacts.sources import rows_of_records
from airflow_provider_contacts.task.summary import PROGRESS_EVERY, Progress, Report
from airflow_provider_contacts.vendor_kit.vendor import Limits
from tests.support.fake_vendor import APPLIED_AND_LOST, Deed, World, answers, first, names

COUNT = 450
SLOW = Limits(batch_size=1, max_in_flight=1, requests_per_second=2.0)


def report_of(*outcomes: Outcome, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "vendor": "fake",
        "sync_id": "s",
        "sync_run_id": "d/run/push/-1",
        "destination_object": None,
        "outcomes_table": "contact_outcomes",
        "wanted": "none",
    }
    report = Report(**{**values, **changes})
    report.add(Finished(others=outcomes))
    return report


def lines(
    caplog: pytest.LogCaptureFixture, world: World, total: int | None, rows: Any = None, **options: Any
) -> list[str]:
    """Push, and return the lines that tell of it."""
    report = report_of(total=total)
    progress = Progress(report, lambda: world.time.seconds)
    with caplog.at_level(logging.INFO):
        deque(report.counted(world.execution(rows or names(COUNT), watch=progress.tell, **options).push), maxlen=0)
    return [one.getMessage() for one in caplog.records if one.getMessage().startswith("Progress")]


def test_it_counts_what_is_read_sent_and_answered_with_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    told = lines(caplog, World(), COUNT, limits=SLOW)
    assert len(told) == int(COUNT / 2 / PROGRESS_EVERY)
    assert told[0].startswith("Progress: read 100 of 450, sent 6")
    assert ", answered " in told[0]
    assert "(succeeded " in told[0]
    assert "; 2.0 records a second, about 19" in told[0]
    assert told[-1].startswith("Progress: read 450 (all), sent 4")


def test_where_the_source_does_not_say_how_many_there_are_nor_does_the_line(caplog: pytest.LogCaptureFixture) -> None:
    told = lines(caplog, World(), None, limits=SLOW)
    assert "read 100, sent" in told[0]
    assert told[0].endswith("; 2.0 records a second")
    # Once it has given all, it has said it.
    assert "(all)" in told[-1]
    assert "s left" in told[-1]


def test_it_is_said_every_thirty_seconds_also_while_nothing_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    told = lines(caplog, World(first(Deed(delay=125.0))), 1, rows=names(1), request_timeout=600.0)
    assert len(told) == int(125.0 / PROGRESS_EVERY)
    assert all("read 1 (all), sent 1, answered 0; outcomes 0; 0.0 records a second" in one for one in told)


def test_what_is_sent_again_counts_again_and_what_is_lost_is_not_answered() -> None:
    world = World(first(answers(429), APPLIED_AND_LOST))
    counts = world.push(names(8), limits=Limits(batch_size=4, max_in_flight=1)).push.counts
    assert (counts.num_read, counts.num_sent, counts.num_answered, counts.is_read) == (8, 12, 8, True)


@pytest.mark.parametrize(
    ("records", "total"),
    [
        (None, 0),
        ([], 0),
        ([{"a": 1}] * 3, 3),
        ([{"a": 1}, [{"a": 1}, {"a": 2}]], 3),
        (({"a": 1},), 1),
        (iter([{"a": 1}]), None),
        (pd.DataFrame({"a": [1, 2, 3]}), 3),
    ],
)
def test_a_source_says_how_many_there_are_where_it_knows(records: Any, total: int | None) -> None:
    assert rows_of_records(records).total == total


def outcome(status: Status, code: str | None = None) -> Outcome:
    return Outcome(record_identifier="a", row_index=0, status=status, error_code=code)


def test_the_place_of_the_rows_is_a_query_and_says_which_records_have_none() -> None:
    unknown = report_of(outcome(Status.UNKNOWN, "lost"), outcome(Status.SUCCEEDED), sync_run_id="it's/r/t/-1")
    assert unknown.place_of_rows("outcomes") == (
        "the link Outcomes of this task, or rows (connection 'outcomes'): "
        "SELECT record_identifier, status, error_code, error_field, status_message "
        "FROM contact_outcomes WHERE sync_run_id = 'it''s/r/t/-1' AND status IN ('unknown')"
    )
    twins = report_of(outcome(Status.INVALID, "key_not_unique"), outcome(Status.INVALID, "missing_field"))
    assert twins.place_of_rows("db").startswith(
        "the link Outcomes of this task, or rows (connection 'db'; none for the 1 of key_not_unique): SELECT "
    )
    claimed = outcome(Status.FAILED, "claimed_elsewhere")
    both = report_of(outcome(Status.INVALID, "key_not_unique"), claimed, claimed)
    none = "none for the 1 of key_not_unique and the 2 of claimed_elsewhere"
    assert f"rows (connection 'db'; {none}): SELECT " in both.place_of_rows("db")


def test_without_a_table_the_place_is_xcom_or_none() -> None:
    assert "XCom return_value" in report_of(wanted="all").place_of_rows(None)
    assert "set outcomes_conn_id" in report_of(wanted="none").place_of_rows(None)
