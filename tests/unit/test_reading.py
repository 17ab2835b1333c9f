"""Tolerant readers: any JSON value in, a proven thing or nothing out."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.json_values import (
    as_count,
    as_id,
    as_list,
    as_mapping,
    as_moment,
    as_text,
    fold_phone,
    fold_text,
)
from airflow_provider_contacts.vendor_kit.matching import Shown, Step, by, echo, matched
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Response

ANYTHING: list[Any] = [None, True, False, 0, 7, -1, 1.0, "", "a", "7", [], [1], {}, {"a": 1}]
LIST: list[Any] = []
NO_TEXTS: tuple[Any, ...] = (None, 7, [], {})


def read(reader: Any) -> list[Any]:
    """Return what a reader makes of each value, with its type: ``True`` equals 1."""
    return [None if (found := reader(value)) is None else (type(found), found) for value in ANYTHING]


@pytest.mark.parametrize(
    ("reader", "proven"),
    [
        (as_count, {3: 0, 4: 7}),
        (as_text, {8: "a", 9: "7"}),
        (as_id, {3: "0", 4: "7", 5: "-1", 8: "a", 9: "7"}),
        (as_list, {10: [], 11: [1]}),
    ],
)
def test_only_the_thing_itself_is_proven(reader: Any, proven: dict[int, Any]) -> None:
    expected = [(type(proven[index]), proven[index]) if index in proven else None for index in range(len(ANYTHING))]
    assert read(reader) == expected


def test_what_is_no_object_is_an_empty_one() -> None:
    assert [as_mapping(value) for value in ANYTHING] == [{}] * 13 + [{"a": 1}]
    assert as_list(LIST) is LIST


def test_a_moment_tells_its_offset() -> None:
    assert as_moment("2026-01-02T03:04:05Z") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert [as_moment(value) for value in (*ANYTHING, "2026-01-02T03:04:05", "soon")] == [None] * 16


def test_texts_are_compared_composed_folded_and_without_spare_blanks() -> None:
    assert fold_text("  Zoe\u0308 \t STRASSE ") == fold_text("zo\u00eb stra\u00dfe") == "zo\u00eb strasse"
    # A vendor that rewrites these keeps the same contact: a reading must not take it for absent.
    assert fold_text("\uff21da \ufb01ne \u2167") == "ada fine viii"
    assert [fold_text(value) for value in NO_TEXTS] == [""] * 4


def test_numbers_are_compared_by_their_digits() -> None:
    assert fold_phone("+49 (170) 1-2/3x") == "49170123"
    assert fold_phone("\uff0b\u0661\u0662 3") == "123"
    assert [fold_phone(value) for value in NO_TEXTS] == [""] * 4


def match(sent: Any, shown: Any, step: Step) -> dict[int, int]:
    """Return which record is which contact: index sent to place shown."""
    replies = matched(sent, Shown([str(place) for place in range(len(shown))], shown), [step], Doubt("unmatched"))
    return {index: int(place) for index, place in enumerate(replies.ids) if place is not None}


def test_an_echo_shows_every_record_in_its_place() -> None:
    sent: list[dict[str, Any]] = [{"a": 1}, {"a": 2, "b": None}, {"c": "x"}]
    shown: list[dict[str, Any]] = [{"a": 1, "b": None, "id": 9}, {"a": 2}, {"c": "x"}]
    names = {"a", "b", "c"}
    assert match(sent, shown, echo(names)) == {}
    sent[1] = {"a": 2}
    assert match(sent, shown, echo(names)) == {0: 0, 1: 1, 2: 2}
    for other in (shown[::-1], shown[:2], [*shown[:2], {"c": "x", "a": 3}], [*shown[:2], None]):
        assert match(sent, other, echo(names)) == {}


@pytest.mark.parametrize(
    ("sent", "returned", "pairs"),
    [
        ("abc", "cab", {0: 1, 1: 2, 2: 0}),
        ("aab", "aba", {0: 0, 1: 2, 2: 1}),
        ("aab", "ab", {2: 1}),
        ("ab", "aab", {1: 2}),
        ("a-", "-a", {0: 1}),
        ("--", "--", {}),
        ("ab", "", {}),
    ],
)
def test_equals_are_paired_in_order_and_only_where_their_numbers_agree(
    sent: str, returned: str, pairs: dict[int, int]
) -> None:
    def key(one: Any) -> Any:
        return None if one["k"] == "-" else one["k"]

    assert match([{"k": one} for one in sent], [{"k": one} for one in returned], by(key)) == pairs


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"\xef\xbb\xbf{}", {}),
        (b'"\\ud800"', "\ud800"),
        (b" 1e400", math.inf),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_every_json_text_is_read(body: bytes, value: Any) -> None:
    assert Response(200, {}, body).json() == value


@pytest.mark.parametrize(
    ("said", "bodies"),
    [
        ("JSONDecodeError", [b"", b"<html>", b"{", b'{"a": 1} {}', b"'a'"]),
        ("UnicodeDecodeError", [b"\xff", b'"\xff"', b'{"\xc3": 1}']),
        ("RecursionError", [b"[" * 100_000]),
    ],
)
def test_what_is_no_json_is_unreadable_and_not_quoted(said: str, bodies: list[bytes]) -> None:
    for body in bodies:
        with pytest.raises(UnreadableError) as caught:
            Response(200, {}, body).json()
        assert str(caught.value) == said


QUOTED = st.binary(max_size=9).map(lambda text: b'"' + text + b'"')


@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | QUOTED)
def test_any_body_is_read_as_the_standard_library_reads_it(body: bytes) -> None:
    try:
        expected = json.loads(body.decode("utf-8-sig"))
    except ValueError:
        with pytest.raises(UnreadableError):
            Response(200, {}, body).json()
    else:
        found = Response(200, {}, body).json()
        assert json.dumps(found) == json.dumps(expected)  # NaN is not equal to itself
