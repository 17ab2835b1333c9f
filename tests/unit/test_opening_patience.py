"""How long opening is tried again, and which of a database's errors may pass."""

from __future__ import annotations

import re

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError  # noqa: TID253  # its errors are what is told

from airflow_provider_contacts.errors import ConfigError, InterruptedPushError, LedgerError
from airflow_provider_contacts.ledgers.sql.db_errors import MomentaryError, described, momentary
from airflow_provider_contacts.ledgers.sql.transactions import LONGEST_WAIT, OPENING_SECONDS, SLICE, Patience


class Time:
    """A clock that passes only when one sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.longest = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.longest = max(self.longest, seconds)


class Opening:
    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.attempts = 0

    def __call__(self) -> str:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        return "open"


def patience(time: Time, stopping: bool = False) -> Patience:
    return Patience(stopping=lambda: stopping, monotonic=lambda: time.now, sleep=time.sleep)


def test_what_passes_is_tried_again() -> None:
    time, opening = Time(), Opening(MomentaryError("starts"), MomentaryError("starts"))
    assert patience(time).run(opening) == "open"
    assert opening.attempts == 3
    assert 0 < time.now < 1


def test_what_does_not_pass_is_not_waited_for_long() -> None:
    time, opening = Time(), Opening(*[MomentaryError("read-only")] * 1000)
    with pytest.raises(MomentaryError, match="read-only") as caught:
        patience(time).run(opening)
    assert OPENING_SECONDS - LONGEST_WAIT - 1 < time.now <= OPENING_SECONDS
    assert opening.attempts < 12
    assert caught.value.__context__ is None


@pytest.mark.parametrize("error", [LedgerError("damaged"), ConfigError("wrong")])
def test_what_cannot_pass_is_not_tried_again(error: Exception) -> None:
    time, opening = Time(), Opening(error)
    with pytest.raises(type(error)):
        patience(time).run(opening)
    assert (opening.attempts, time.now) == (1, 0.0)


def test_a_stop_is_heard_while_it_waits() -> None:
    time, opening = Time(), Opening(*[MomentaryError("starts")] * 3)
    with pytest.raises(InterruptedPushError):
        patience(time, stopping=True).run(opening)
    assert (opening.attempts, time.now) == (1, 0.0)


def test_it_looks_for_a_stop_many_times_a_second() -> None:
    time = Time()
    patience(time).run(Opening(*[MomentaryError("starts")] * 4))
    assert time.longest <= SLICE


class DriverError(Exception):
    pass


def driver_error(*arguments: object, kind: type[DBAPIError] = OperationalError, **marks: object) -> DBAPIError:
    error = DriverError(*arguments)
    for name, value in marks.items():
        setattr(error, name, value)
    return kind(None, None, error)


@pytest.mark.parametrize(
    "error",
    [
        *(driver_error("x", sqlstate=one) for one in ("25006", "57014", "55P03", "40P01", "57P03", "53300", "57P01")),
        *(
            driver_error(number, "x")
            for number in (1205, 1213, 1290, 1684, 1836, 1792, 3024, 1969, 1040, 1053, 2002, 2013)
        ),
        *(driver_error("database is locked", sqlite_errorcode=one) for one in (5, 5 | (2 << 8))),
        driver_error("connection failed: FATAL:  the database system is starting up"),
        driver_error("connection failed: FATAL:  sorry, too many clients already"),
        driver_error("server closed the connection unexpectedly"),
    ],
    ids=str,
)
def test_what_may_pass(error: DBAPIError) -> None:
    assert momentary(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (driver_error("x", sqlstate="42501"), "DriverError, SQLSTATE 42501: x; grant .*"),
        (driver_error(1142, "x"), "DriverError, error 1142: x; grant .*"),
        (driver_error(1045, "Access denied"), "DriverError, error 1045: Access denied"),
        (driver_error(1064, "syntax near 'ada@example.com'"), "DriverError, error 1064"),
        (driver_error("no file", sqlite_errorcode=14), "DriverError: no file; the folder must exist.*"),
        (driver_error("FATAL:  password authentication failed\nx"), "DriverError: FATAL:  password auth.* failed"),
        (driver_error('database "x" does not exist'), 'DriverError: database "x" does not exist'),
        (driver_error("could not translate host name"), "DriverError: could not translate host name"),
        (driver_error("SSL error: certificate verify failed"), "DriverError: SSL error: certificate verify failed"),
        (driver_error("the timed out row", kind=IntegrityError, sqlstate="23514"), "DriverError, SQLSTATE 23514"),
        (ValueError("a row"), "ValueError"),
    ],
    ids=str,
)
def test_what_a_person_must_mend_is_told_without_a_row(error: Exception, said: str) -> None:
    assert re.fullmatch(said, described(error))
    assert not momentary(error)
