from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.pacing.bucket import GRAIN, LONGEST_WAIT, Pace, backoff, retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def departures(pace: Pace, steps: list[tuple[float, int]], start: float = 0.0) -> list[float]:
    """Let requests leave as fast as the pace allows; return when."""
    now, found = start, []
    for passed, wanted in steps:
        now += passed
        count = pace.available(now, wanted)
        assert 0 <= count <= wanted
        pace.take(now, count)
        found += [now] * count
    return found


@given(
    st.floats(0.1, 1000),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 30)), max_size=40),
    st.sampled_from([0.0, 1e6, 1e9]),
)
def test_no_window_holds_more_than_the_burst_and_the_rate(
    rate: float, burst: int, steps: list[tuple[float, int]], start: float
) -> None:
    found = departures(Pace(rate, burst), steps, start)
    burst = max(burst, int(GRAIN * rate))
    for first, begun in enumerate(found):
        for last in range(first, len(found)):
            assert last - first + 1 <= burst + (found[last] - begun) * rate + 1e-3


@given(st.floats(0.1, 1000), st.integers(1, 5), st.sampled_from([0.0, 1e6]))
def test_the_told_moment_is_the_right_one(rate: float, burst: int, start: float) -> None:
    pace, now = Pace(rate, burst), start
    for _ in range(20):
        assert pace.available(now, 1) == 1
        pace.take(now, 1)
        now = max(pace.next_at(now) + 1e-6, now)
    assert now - start >= (20 - max(burst, int(GRAIN * rate))) / rate - 1e-3
    assert now - start <= 20 / rate + 1e-3


def test_without_a_rate_everything_leaves_at_once() -> None:
    pace = Pace(None)
    pace.take(5.0, 1000)
    assert pace.available(5.0, 1000) == 1000
    assert pace.next_at(5.0) == 5.0


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_pause_holds_everything_back_and_is_never_shortened(rate: float | None) -> None:
    pace = Pace(rate, 5)
    pace.pause(20.0)
    pace.pause(15.0)
    assert pace.available(19.99, 5) == 0
    assert pace.next_at(10.0) == 20.0
    assert pace.available(20.0, 5) == 5


@pytest.mark.parametrize("burst", [0, -1, 1])
def test_without_a_burst_one_request_leaves_at_a_time(burst: int) -> None:
    pace = Pace(0.5, burst)
    assert pace.available(0.0, 9) == 1
    assert pace.available(100.0, 9) == 1


@dataclass
class Shared:
    """A shared rate that grants one request at a time."""

    asked: list[int] = field(default_factory=list)

    def take(self, wanted: int) -> int:
        self.asked.append(wanted)
        return 1

    def wait(self) -> float:
        return 3.0

    def close(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_shared_rate_is_asked_for_what_the_own_pace_allows(rate: float | None) -> None:
    shared = Shared()
    pace = Pace(rate, 2, shared)
    assert pace.available(0.0, 5) == 1
    assert shared.asked == [5 if rate is None else 2]
    assert pace.next_at(0.0) == 3.0
    pace.pause(1.0)
    assert pace.available(0.5, 5) == 0
    assert len(shared.asked) == 1


SECONDS: dict[float | None, list[str | None]] = {
    None: [
        *(None, "", " ", "nan", "NaN", "-nan", "soon", "\u0661\u0662", "1,5", "120, soon"),
        *("Fri, 99 Jan 2026 03:04:35 GMT", "Fri, 02 Jan 99999 03:04:35 GMT", "Fri, 02 Jan 2026 03:04:35 +9999999999"),
    ],
    0.0: ["0", "-5", "-0", "-inf", "Fri, 02 Jan 2026 03:04:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"],
    1.5: ["1.5"],
    30.0: [
        *("Fri, 02 Jan 2026 03:04:35 GMT", "Fri, 02 Jan 2026 03:04:35 -0000", "Fri, 02 Jan 2026 06:04:35 +0300"),
        *("Friday, 02-Jan-26 03:04:35 GMT", "Fri Jan  2 03:04:35 2026"),
    ],
    120.0: ["120", " 120 ", "120, 30"],
    LONGEST_WAIT: ["inf", "1e999", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"],
}


@pytest.mark.parametrize(("seconds", "text"), [(seconds, text) for seconds, texts in SECONDS.items() for text in texts])
def test_retry_after_is_read_in_every_form(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


DATES = st.builds(
    "{}, {} {} {} {}{}".format,
    st.sampled_from(["Fri", "Xyz"]),
    *(
        st.integers(0, 9999),
        st.sampled_from(["Jan", "Xyz"]),
        st.integers(0, 999_999),
        st.text("0123456789:+-", max_size=12),
    ),
    st.sampled_from(["", "GMT", " GMT", " +0300", " +99999999999"]),
)


@given(st.text(max_size=40) | DATES)
def test_no_retry_after_raises_or_is_absurd(text: str) -> None:
    found = retry_after(text, NOW)
    assert found is None or 0.0 <= found <= LONGEST_WAIT


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001  # hypothesis wants them naive
    st.integers(-23, 23),
)
def test_dates_agree_with_seconds(moment: datetime, hours: int) -> None:
    aware = moment.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    wanted = min(max((aware - NOW).total_seconds(), 0.0), LONGEST_WAIT)
    assert retry_after(format_datetime(aware), NOW) == wanted


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_backoff_stays_within_its_bounds(attempt: int, chance: float) -> None:
    found = backoff(attempt, lambda: chance)
    full = min(30.0, 0.5 * 2.0 ** min(attempt - 1, 60))
    assert full / 2 <= found <= full
    assert math.isfinite(found)
