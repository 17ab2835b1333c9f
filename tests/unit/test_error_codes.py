from __future__ import annotations

import pytest

from airflow_provider_contacts.error_codes import CODES, RUN_STATUS_WORDS, STATUS_WORDS, explain
from airflow_provider_contacts.outcome import Status


def test_every_status_has_words() -> None:
    assert set(STATUS_WORDS) == {status.value for status in Status} >= set(CODES)
    assert set(RUN_STATUS_WORDS) == {"running", "succeeded", "partial", "failed", "aborted"}
    assert all(all(words) for words in (*STATUS_WORDS.values(), *RUN_STATUS_WORDS.values()))


def test_every_code_has_words_and_advice() -> None:
    for status, codes in CODES.items():
        for code in codes:
            meaning, advice = explain(status, code)
            assert meaning.endswith(".")
            assert advice.endswith((".", ")."))


@pytest.mark.parametrize(
    ("status", "code", "destination", "meaning", "advice"),
    [
        ("succeeded", None, "dex", "The vendor has the contact", "Not sent again"),
        ("invalid", "invalid_email", "dex", "A value does not have the form of an email", "Correct the value"),
        ("rejected", "PHONE_NUMBER_INVALID", "talkdesk", "code of Talkdesk's own", "Correct the record"),
        ("rejected", "X", None, "X is a code of the vendor's own", "Correct the record"),
        # One word, two meanings: the status decides.
        ("failed", "http_503", None, "said with Retry-After", "Nothing while"),
        ("unknown", "http_503", None, "does not say", "Search the vendor's account"),
        ("failed", "http_418", None, "refuses the request", "Correct the connection"),
        ("unknown", "http_507", None, "The vendor failed", "Search"),
        # Sent again while in doubt, and refused: still in doubt.
        ("unknown", "rate_limited", None, "may exist at the vendor, or may not: no answer proved either", "Search"),
        ("unknown", "rate_limited", None, "Said last: The vendor asks for fewer requests", "Search"),
        ("unknown", "timeout", "dex", "No answer came", "reconcile"),
        ("odd", None, None, "The status odd is not one", ""),
    ],
)
def test_words(status: str, code: str | None, destination: str | None, meaning: str, advice: str) -> None:
    found = explain(status, code, destination)
    assert meaning in found.meaning
    assert advice in found.advice


def test_nobody_is_told_to_read_nedzo_back() -> None:
    assert "reconcile" not in explain("unknown", "timeout", "nedzo").advice
