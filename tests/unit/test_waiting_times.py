"""An absurd waiting time from outside is bounded, and never ends a push."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_contacts.errors import RetryLaterError
from airflow_provider_contacts.pacing.bucket import LONGEST_WAIT
from airflow_provider_contacts.vendor_kit.results import NotSent
from tests.support.fake_vendor import EPOCH, Deed, World, answers, first, names


@pytest.mark.parametrize("text", ["1764000000000", "1e300", "inf", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_absurd_time_reschedules_the_push_and_loses_no_record(status: int, text: str) -> None:
    pushed = World(first(then=answers(status, retry_after=text))).push(names(12))
    assert isinstance(pushed.error, RetryLaterError)
    assert pushed.error.until <= EPOCH + timedelta(days=2)
    assert pushed.counts() == {"failed": 12}


def test_an_absurd_time_of_a_token_endpoint_reschedules_the_push_and_loses_no_record() -> None:
    waits = NotSent("token_unavailable", wait=LONGEST_WAIT)
    pushed = World(first(then=Deed(connects=False, not_sent=waits, applies=False))).push(names(12))
    assert isinstance(pushed.error, RetryLaterError)
    assert pushed.counts() == {"failed": 12}
    assert set(pushed.codes().values()) <= {"token_unavailable", "rate_limited"}
