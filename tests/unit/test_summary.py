"""Counting, and how a push is judged by its counts."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.ledgers.sql.tables import COUNTERS
from airflow_provider_contacts.outcome import UNDELIVERED, Outcome, Status
from airflow_provider_contacts.task.summary import (
    MOST_CODES,
    MOST_IN_XCOM,
    OutcomeList,
    Report,
    Tally,
    entry_of,
)

PUBLIC = [status for status in Status if status is not Status.SENDING]


def outcome(status: Status, index: int = 0, **values: Any) -> Outcome:
    return Outcome(record_identifier=f"r{index}", row_index=index, status=status, **values)


def tally_of(*outcomes: Outcome) -> Tally:
    tally = Tally()
    for one in outcomes:
        tally.add(one)
    return tally


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
    counts = tally_of(*outcomes).counts()
    assert counts["num_planned"] == len(outcomes) == sum(counts[f"num_{status.value}"] for status in PUBLIC)
    assert counts["num_undelivered"] == sum(counts[f"num_{status.value}"] for status in UNDELIVERED)
    assert counts["num_changed"] <= counts["num_skipped"]
    assert counts["num_held"] <= counts["num_unknown"]
    assert counts["num_succeeded"] <= counts["num_delivered"] <= counts["num_succeeded"] + counts["num_skipped"]


@given(OUTCOMES)
def test_a_verdict_is_reached_exactly_when_something_is_not_tolerated(outcomes: list[Outcome]) -> None:
    tally = tally_of(*outcomes)
    counts = Counter(one.status for one in outcomes)
    held = sum(one.status is Status.UNKNOWN and not one.from_this_run for one in outcomes)
    verdict = tally.verdict(1, 1)
    refused = counts[Status.REJECTED] + counts[Status.INVALID]
    wanted = bool(counts[Status.FAILED]) or refused > 1 or counts[Status.UNKNOWN] - held > 1
    assert (verdict is not None) == wanted
    if verdict is not None:
        assert verdict.retryable == bool(counts[Status.FAILED])


def test_the_runs_table_has_every_counter() -> None:
    report = Report(
        vendor="dex",
        sync_id="s",
        sync_run_id="r",
        destination_object=None,
        outcomes_table=None,
        outcomes=OutcomeList("none"),
        started_at=datetime.now(UTC),
    )
    assert set(report.counts()) == set(COUNTERS)
    assert "outcomes" not in report.summary("succeeded")


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        ([], "succeeded"),
        ([Status.SUCCEEDED, Status.SKIPPED, Status.DUPLICATE], "succeeded"),
        ([Status.SUCCEEDED, Status.INVALID], "partial"),
        ([Status.SKIPPED, Status.UNKNOWN], "partial"),
        ([Status.INVALID, Status.DUPLICATE], "partial"),
    ],
)
def test_a_run_has_its_word(statuses: list[Status], word: str) -> None:
    assert tally_of(*map(outcome, statuses)).status() == word


def test_a_fraction_is_of_what_there_was_to_do() -> None:
    fixed = [*[outcome(Status.SKIPPED, from_this_run=False)] * 100, *[outcome(Status.DUPLICATE)] * 100]
    tally = tally_of(*fixed, *[outcome(Status.SUCCEEDED)] * 9, outcome(Status.INVALID))
    assert tally.verdict(0.1, 0) is None
    assert tally.verdict(0.09, 0) is not None


def test_a_retry_does_not_fail_for_having_less_left_to_do() -> None:
    first = [*[outcome(Status.SUCCEEDED)] * 98, outcome(Status.INVALID), outcome(Status.FAILED)]
    retried = [*[outcome(Status.SKIPPED)] * 98, outcome(Status.INVALID), outcome(Status.SUCCEEDED)]
    verdict = tally_of(*first).verdict(0.05, 0)
    assert verdict is not None
    assert verdict.retryable
    assert tally_of(*retried).verdict(0.05, 0) is None


@pytest.mark.parametrize(("fraction", "refused"), [(0.29, 29), (0.57, 57), (0.07, 7), (0.14, 14)])
def test_a_fraction_is_exact(fraction: float, refused: int) -> None:
    def verdict(count: int) -> Any:
        done = [outcome(Status.SUCCEEDED)] * (100 - count)
        return tally_of(*done, *[outcome(Status.REJECTED)] * count).verdict(fraction, 0)

    assert verdict(refused) is None
    assert verdict(refused + 1) is not None


def test_a_verdict_names_counts_and_the_commonest_codes_alone() -> None:
    outcomes = [outcome(Status.REJECTED, n, error_code=f"c{n % 7}", status_message="canary") for n in range(20)]
    text = str(tally_of(*outcomes, outcome(Status.UNKNOWN, error_code="timeout")).verdict(3, 0))
    assert text.startswith("of 21 records 20 rejected or invalid (tolerated: 3), 1 unknown (tolerated: 0); first codes")
    assert (text.count(" ("), "canary" in text) == (7, False)


def test_codes_are_bounded_whatever_a_vendor_invents() -> None:
    tally = tally_of(*[outcome(Status.REJECTED, n, error_code=f"code-{n}-" + "x" * 500) for n in range(1000)])
    assert len(tally.codes) == MOST_CODES + 1
    assert sum(tally.codes.values()) == 1000
    assert max(map(len, tally.codes)) <= 100


# Lists for XCom.


def listed(wanted: Any, *outcomes: Outcome) -> OutcomeList:
    found = OutcomeList(wanted)
    for one in outcomes:
        found.add(one)
    return found


@pytest.mark.parametrize(
    ("wanted", "count", "complete"), [("all", 4, True), ("auto", 4, True), ("undelivered", 2, True), ("none", 0, True)]
)
def test_a_list_holds_what_is_wanted(wanted: str, count: int, complete: bool) -> None:
    some = [outcome(status) for status in (Status.SUCCEEDED, Status.SKIPPED, Status.INVALID, Status.UNKNOWN)]
    found = listed(wanted, *some)
    assert (len(found.entries), found.complete) == (count, complete)


def test_auto_is_whole_up_to_its_limit_and_then_the_undelivered_alone() -> None:
    bad = [outcome(Status.INVALID, n) for n in range(3)]
    good = [outcome(Status.SUCCEEDED, n) for n in range(MOST_IN_XCOM - 3)]
    found = listed("auto", *bad, *good)
    assert (len(found.entries), found.complete) == (MOST_IN_XCOM, True)
    found.add(outcome(Status.SUCCEEDED))
    assert ([one["status"] for one in found.entries], found.complete) == (["invalid"] * 3, False)
    found.add(outcome(Status.FAILED))
    assert len(found.entries) == 4


def test_auto_never_holds_more_than_its_limit() -> None:
    found = listed("auto", *[outcome(Status.INVALID, n) for n in range(MOST_IN_XCOM + 5)])
    assert (len(found.entries), found.complete) == (MOST_IN_XCOM, False)


def test_all_and_undelivered_have_no_limit() -> None:
    for wanted in ("all", "undelivered"):
        assert (
            len(listed(wanted, *[outcome(Status.INVALID, n) for n in range(MOST_IN_XCOM + 5)]).entries) > MOST_IN_XCOM
        )


def test_an_entry_can_be_stored_whatever_the_vendor_says() -> None:
    odd = "a\x00b\ud800"
    one = outcome(Status.UNKNOWN, destination_record_id=odd, error_code=odd, error_field=odd, status_message=odd)
    text = json.dumps(entry_of(one), ensure_ascii=False)
    assert "\\u0000" not in text
    assert text.encode()
    assert list(tally_of(one).codes) == ["a\ufffdb\ufffd"]


@pytest.mark.parametrize(
    ("status", "code"), [(Status.INVALID, "unknown_field"), (Status.REJECTED, "bad"), (Status.UNKNOWN, "no_id")]
)
def test_a_field_that_may_have_any_name_is_not_in_the_error(status: Status, code: str) -> None:
    said = tally_of(outcome(status, error_code=code, error_field="ann_smith")).verdict(0, 0)
    assert code in str(said)
    assert "ann_smith" not in str(said)
