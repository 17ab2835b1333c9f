"""Columns that cannot be right are told before anything is sent, with what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.records.mapper import Mapper
from tests.support.fake_vendor import VENDOR


def check(columns: Sequence[str] | None, **options: Any) -> None:
    Mapper(vendor=VENDOR, destination={}, sync_id="s", **options).check(columns)


def test_columns_that_are_fields_keys_or_mapped_are_taken() -> None:
    check(["id", "full", "email", "extra.x"], sync_key=("id",), field_map={"full": "name"})
    check(None, sync_key=("id",), field_map={"full": "name"})
    check(["name", "colour"], unmapped="ignore")


FIELDS = (
    "['address', 'age', 'born', 'email', 'extra', 'extra.*', 'first_name', 'last_name', "
    "'name', 'note', 'seen', 'tags', 'uid']"
)
WAYS = "name them in field_map, in SQL also by an alias"
AS_FIRST_NAME, AS_EMAIL = '(AS "first_name")', '(AS "email")'
OTHERS = 'leave them out, or set unmapped="ignore"'
KEY_OR_OTHERS = OTHERS.replace("or set", "give the one that identifies a record as sync_key, or set")


KEY: dict[str, Any] = {"sync_key": ("id",)}
FULL: dict[str, Any] = {"field_map": {"full": "name"}}
NONE, LACKS, UNKNOWN = "field_map names no field of Fake:", "that the source does not have", "are no fields of Fake"
BOTH_MEANT = "did you mean 'first_name' instead of 'frist_name'? did you mean 'name' instead of 'NAME'?"
MAIL_MEANT = "did you mean 'email' instead of 'mail'?"


@pytest.mark.parametrize(
    ("options", "columns", "said"),
    [
        ({"field_map": {"a": "x", "b": "name"}}, None, f"{NONE} ['x'] (there are {FIELDS})"),
        ({"field_map": {"a": "zid"}}, None, f"{NONE} ['zid'] (did you mean 'uid' instead of 'zid'?)"),
        (KEY, ["name"], f"sync_key names columns ['id'] {LACKS} (there are ['name'])"),
        (KEY, ["ID", "name"], f"sync_key names columns ['id'] {LACKS} (did you mean 'ID' instead of 'id'?)"),
        (FULL, ["id", "name"], f"field_map names columns ['full'] {LACKS} (there are ['id', 'name'])"),
        (FULL, ["full", "name"], "more than one column becomes the field ['name'] of Fake"),
        (KEY, ["id", "colour"], f"columns ['colour'] {UNKNOWN} (there are {FIELDS}): {WAYS}, {OTHERS}"),
        (KEY, ["id", "mobil"], f"columns ['mobil'] {UNKNOWN} (there are {FIELDS}): {WAYS}, {OTHERS}"),
        (KEY, ["id", "frist_name", "NAME"],
         f"columns ['frist_name', 'NAME'] {UNKNOWN} ({BOTH_MEANT}): {WAYS} {AS_FIRST_NAME}, {OTHERS}"),
        (KEY, ["id", "colour", "mail"],
         f"columns ['colour', 'mail'] {UNKNOWN} ({MAIL_MEANT} there are {FIELDS}): {WAYS} {AS_EMAIL}, {OTHERS}"),
        ({}, ["lead", "email"], f"columns ['lead'] {UNKNOWN} (there are {FIELDS}): {WAYS}, {KEY_OR_OTHERS}"),
    ],
)  # fmt: skip
def test_a_configuration_error_says_what_is_allowed(
    options: dict[str, Any], columns: list[str] | None, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check(columns, **options)
    assert str(caught.value) == said


def test_a_column_that_is_left_out_for_its_case_alone_is_told(caplog: pytest.LogCaptureFixture) -> None:
    check(["name", "EMAIL", "shoe"], unmapped="ignore")
    (text,) = [record.getMessage() for record in caplog.records]
    told = "unmapped=\"ignore\" leaves out columns ['EMAIL'], which differ from fields in case alone"
    assert text == f"{told}: {WAYS} {AS_EMAIL}"


def test_many_columns_are_not_all_told() -> None:
    with pytest.raises(ConfigError) as caught:
        check([f"column_{n}" for n in range(500)])
    assert "'column_19'] and 480 more are no fields of Fake" in str(caught.value)
    assert len(str(caught.value)) < 1500
