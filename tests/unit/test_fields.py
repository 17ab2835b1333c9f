"""What a contract reads from annotations; what a field hands on, what it refuses, and under which code."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, Required

import pytest
from pydantic import ConfigDict, Field, StrictStr, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.fields import (
    EMAIL_LENGTH,
    Anything,
    Email,
    Flag,
    Number,
    Whole,
    check_date,
    check_datetime,
    check_email,
    check_uuid,
    not_beside,
)

NO_EMAIL = ("invalid_email", "not the form of an email address")
NO_UUID = ("invalid_uuid", "not a UUID of the form 8-4-4-4-12")
NO_DATE = ("invalid_date", "not a date of the form YYYY-MM-DD")
NO_MOMENT = ("invalid_datetime", "not an ISO 8601 date and time with its UTC offset")
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
        (check_datetime, "2026-01-02T03:04:05", NO_MOMENT),
    ],
)
def test_what_is_refused_says_why(check: Any, value: Any, said: tuple[str, str]) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        check(value)
    assert (caught.value.type, caught.value.message()) == said


class Tree(TypedDict, total=False):
    leaf: StrictStr
    branches: list[Tree]


@with_config(ConfigDict(extra="forbid"))
class Record(TypedDict, total=False):
    name: Required[Annotated[StrictStr, Field(min_length=1)]]
    email: Email | None
    kind: Literal["a", "b"]
    active: Flag
    rank: Whole
    share: Number
    more: Anything
    any: dict[StrictStr, Anything] | None
    tags: Annotated[list[StrictStr], not_beside("kind")]
    tree: Tree


CONTRACT = RecordContract(record=Record)
FRACTION = Decimal("19.90")
NOT_FINITE = (float("inf"), float("nan"), Decimal("NaN"))
NO_JSON: list[Any] = [FRACTION, float("inf"), [float("nan")], b"x", {1: 2}, {"a": {7}}, object(), 1j]


def test_what_a_field_is_follows_from_its_annotation() -> None:
    fields = CONTRACT.fields
    assert {name for name, field in fields.items() if field.required} == {"name"}
    assert {name for name, field in fields.items() if field.nullable} == {"email", "any"}
    assert {name for name, field in fields.items() if field.nested} == {"any", "tags", "tree"}
    # A type that holds itself is not looked through.
    assert CONTRACT.loose == {"share", "more", "any", "tree"}


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({}, [("missing_field", "name")]),
        ({"name": ""}, [("too_short", "name")]),
        ({"name": "a", "kind": "c"}, [("not_allowed", "kind")]),
        ({"name": "a", "nmae": "b"}, [("unknown_field", "nmae")]),
        ({"name": "a", "tree": {"branches": [{"leaf": 1}]}}, [("wrong_type", "tree.branches.0.leaf")]),
        ({"name": "a", "tree": {"branches": [{"x": 2}]}}, [("unknown_field", "tree.branches.0.x")]),
        ({"name": "a", "kind": "a", "tags": ["b"]}, [("conflict", "tags")]),
        ({"name": None}, [("wrong_type", "name")]),
        ({"name": "a", "email": 7}, [("wrong_type", "email")]),
        *(({"name": "a", "active": value}, [("wrong_type", "active")]) for value in ("true", 2, b"x")),
        *(
            ({"name": "a", "rank": value}, [("wrong_type", "rank")])
            for value in ("5", True, 1.5, *NOT_FINITE, FRACTION)
        ),
        *(({"name": "a", "share": value}, [("wrong_type", "share")]) for value in ("52", True, *NOT_FINITE)),
        *(({"name": "a", "more": value}, [("not_json", "more")]) for value in NO_JSON),
        ({"name": "a", "any": {"b": float("inf")}}, [("not_json", "any.b")]),
    ],
)
def test_every_reason_is_told_with_its_code_and_field(record: dict[str, Any], found: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        CONTRACT.check(record)
    assert [(code, field) for code, field, _ in caught.value.errors] == found
    assert "19.90" not in str(caught.value.errors)


def test_what_passes_is_handed_on_as_it_came() -> None:
    record = {
        "name": "A",
        "email": None,
        "active": b"\x01",
        "rank": 2.0,
        "share": 0.5,
        "more": [{"a": None}],
        "tags": ["b"],
    }
    assert CONTRACT.check(record) == {**record, "active": True, "rank": 2}
    assert type(CONTRACT.check(record)["rank"]) is int
