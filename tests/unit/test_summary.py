"""Counting, and how a push is judged by its counts."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.ledgers.sql.tables import COUNTERS
from airflow_provider_contacts.outcome import UNDELIVERED, Outcome, Status
from airflow_provider_contacts.records.batch import Finished
from airflow_provider_contacts.task.summary import MOST_CODES, MOST_IN_XCOM, Report, entry_of

PUBLIC = [status for status in Status if status is not Status.SENDING]


def outcome(status: Status, index: int = 0, **values: Any) -> Outcome:
    return Outcome(record_identifier=f"r{index}", row_index=index, status=status, **values)


def report_of(wanted: Any, *outcomes: Outcome) -> Report:
    report = Report(
        vendor="dex", sync_id="s", sync_run_id="r", destination_object=None, outcomes_table=None, wanted=wanted
    )
    report.add(Finished(others=outcomes))
    return report


OUTCOMES = st.lists(
    st.builds(
        outcome,
        st.sampled_from(PUBLIC),
        error_code=st.sampled_from([None, "a", "b"]),
        changed=st.booleans(),
        from_this_run=st.booleans(),
    ),
    max_size=30,
)


@given(OUTCOMES)
def test_the_counters_agree(outcomes: list[Outcome]) -> None:
    counts = report_of("none", *outcomes).counts()
    assert counts["num_planned"] == len(outcomes) == sum(counts[f"num_{status.value}"] for status in PUBLIC)
    assert counts["num_undelivered"] == sum(counts[f"num_{status.value}"] for status in UNDELIVERED)
    assert counts["num_changed"] <= counts["num_skipped"]
    assert counts["num_held"] <= counts["num_unknown"]
    assert counts["num_succeeded"] <= counts["num_delivered"] <= counts["num_succeeded"] + counts["num_skipped"]


@given(OUTCOMES)
def test_the_task_fails_exactly_when_something_is_not_tolerated(outcomes: list[Outcome]) -> None:
    report = report_of("none", *outcomes)
    counts = Counter(one.status for one in outcomes)
    held = sum(one.status is Status.UNKNOWN and not one.from_this_run for one in outcomes)
    error = report.not_tolerated(1, 1)
    refused = counts[Status.REJECTED] + counts[Status.INVALID]
    wanted = bool(counts[Status.FAILED]) or refused > 1 or counts[Status.UNKNOWN] - held > 1
    assert (error is not None) == wanted
    if error is not None:
        assert error.retryable == bool(counts[Status.FAILED])


def test_the_runs_table_has_every_counter() -> None:
    assert set(report_of("none").counts()) == set(COUNTERS)


def test_a_fraction_is_of_what_there_was_to_do() -> None:
    fixed = [*[outcome(Status.SKIPPED, from_this_run=False)] * 100, *[outcome(Status.DUPLICATE)] * 100]
    report = report_of("none", *fixed, *[outcome(Status.SUCCEEDED)] * 9, outcome(Status.INVALID))
    assert report.not_tolerated(0.1, 0) is None
    assert report.not_tolerated(0.09, 0) is not None


def test_a_retry_does_not_fail_for_having_less_left_to_do() -> None:
    first = [*[outcome(Status.SUCCEEDED)] * 98, outcome(Status.INVALID), outcome(Status.FAILED)]
    retried = [*[outcome(Status.SKIPPED)] * 98, outcome(Status.INVALID), outcome(Status.SUCCEEDED)]
    error = report_of("none", *first).not_tolerated(0.05, 0)
    assert error is not None
    assert error.retryable
    assert report_of("none", *retried).not_tolerated(0.05, 0) is None


@pytest.mark.parametrize(("fraction", "refused"), [(0.29, 29), (0.57, 57), (0.07, 7), (0.14, 14)])
def test_a_fraction_is_exact(fraction: float, refused: int) -> None:
    def error(count: int) -> Any:
        done = [outcome(Status.SUCCEEDED)] * (100 - count)
        return report_of("none", *done, *[outcome(Status.REJECTED)] * count).not_tolerated(fraction, 0)

    assert error(refused) is None
    assert error(refused + 1) is not None


def test_the_error_names_counts_and_the_commonest_codes_alone() -> None:
    outcomes = [outcome(Status.REJECTED, n, error_code=f"c{n % 7}", status_message="canary") for n in range(20)]
    text = str(report_of("none", *outcomes, outcome(Status.UNKNOWN, error_code="timeout")).not_tolerated(3, 0))
    assert text.startswith("of 21 records 20 rejected or invalid (tolerated: 3), 1 unknown (tolerated: 0); first codes")
    assert (text.count(" ("), "canary" in text) == (7, False)


def test_codes_are_bounded_whatever_a_vendor_invents() -> None:
    report = report_of("none", *[outcome(Status.REJECTED, n, error_code=f"code-{n}-" + "x" * 500) for n in range(1000)])
    assert len(report.codes) == MOST_CODES + 1
    assert sum(report.codes.values()) == 1000
    assert max(map(len, report.codes)) <= 100


# Lists for XCom.


@pytest.mark.parametrize(
    ("wanted", "count", "complete"), [("all", 4, True), ("auto", 4, True), ("undelivered", 2, True), ("none", 0, False)]
)
def test_a_list_holds_what_is_wanted(wanted: str, count: int, complete: bool) -> None:
    some = [outcome(status) for status in (Status.SUCCEEDED, Status.SKIPPED, Status.INVALID, Status.UNKNOWN)]
    found = report_of(wanted, *some).summary()
    assert (len(found.get("outcomes", [])), found["outcomes_complete"]) == (count, complete)
    assert ("outcomes" in found) == (wanted != "none")


def test_auto_is_whole_up_to_its_limit_and_then_the_undelivered_alone() -> None:
    good, bad = outcome(Status.SUCCEEDED), outcome(Status.INVALID)
    whole = report_of("auto", *[bad] * 3, *[good] * (MOST_IN_XCOM - 3))
    assert (len(whole.summary()["outcomes"]), whole.summary()["outcomes_complete"]) == (MOST_IN_XCOM, True)
    whole.add(Finished(others=[good, bad]))
    assert ([one["status"] for one in whole.summary()["outcomes"]], whole.summary()["outcomes_complete"]) == (
        ["invalid"] * 4,
        False,
    )


@pytest.mark.parametrize(("wanted", "count"), [("auto", 0), ("all", 5), ("undelivered", 5)])
def test_auto_alone_has_a_limit(wanted: str, count: int) -> None:
    found = report_of(wanted, *[outcome(Status.INVALID)] * (MOST_IN_XCOM + 5)).summary()
    assert (len(found["outcomes"]), found["outcomes_complete"]) == (MOST_IN_XCOM + count, wanted != "auto")


def test_an_entry_can_be_stored_whatever_the_vendor_says() -> None:
    odd = "a\x00b\ud800"
    one = outcome(Status.UNKNOWN, destination_record_id=odd, error_code=odd, error_field=odd, status_message=odd)
    text = json.dumps(entry_of(one), ensure_ascii=False)
    assert "\\u0000" not in text
    assert text.encode()
    assert list(report_of("none", one).codes) == ["a\ufffdb\ufffd"]
