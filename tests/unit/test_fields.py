"""What a field type hands on, what it refuses, and under which word."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from airflow_provider_contacts.vendor_kit.fields import (
    EMAIL_LENGTH,
    check_date,
    check_datetime,
    check_email,
    check_uuid,
)

NO_EMAIL = ("invalid_email", "not the form of an email address")
NO_UUID = ("invalid_uuid", "not a UUID of the form 8-4-4-4-12")
NO_DATE = ("invalid_date", "not a date of the form YYYY-MM-DD")
NO_MOMENT = ("invalid_datetime", "not an ISO 8601 date and time")
NO_OFFSET = ("invalid_datetime", "a date and time needs its UTC offset")
LONGEST = "a" * (EMAIL_LENGTH - len("@b.example")) + "@b.example"


@pytest.mark.parametrize(
    ("check", "value", "handed_on"),
    [
        (check_email, "Ada.B@Sub.Example", "Ada.B@Sub.Example"),
        (check_email, LONGEST, LONGEST),
        (check_uuid, "0123ABCD-0000-4000-8000-00000000000f", "0123ABCD-0000-4000-8000-00000000000f"),
        (check_date, "2026-01-02", "2026-01-02"),
        (check_datetime, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        (check_datetime, "20260102T030405+0100", "20260102T030405+0100"),
    ],
)
def test_the_very_text_that_came_is_handed_on(check: Any, value: Any, handed_on: Any) -> None:
    assert check(value) == handed_on


@pytest.mark.parametrize(
    ("check", "value", "said"),
    [
        (check_email, "a" + LONGEST, NO_EMAIL),
        (check_email, "ada", NO_EMAIL),
        (check_uuid, "0123abcd000040008000000000000000", NO_UUID),
        (check_uuid, "{0123abcd-0000-4000-8000-000000000000}", NO_UUID),
        (check_uuid, "x", NO_UUID),
        (check_date, "20260102", NO_DATE),
        (check_date, "2026-02-30", NO_DATE),
        (check_datetime, "soon", NO_MOMENT),
        (check_datetime, "2026-01-02T03:04:05", NO_OFFSET),
    ],
)
def test_what_is_refused_says_why(check: Any, value: Any, said: tuple[str, str]) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        check(value)
    assert (caught.value.type, caught.value.message()) == said
