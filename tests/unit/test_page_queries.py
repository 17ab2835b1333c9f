from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from airflow_provider_contacts.page.queries import Day, Id, MapIndex, Region


@pytest.mark.parametrize(("text", "index"), [("{MAP_INDEX}", -1), ("-1", -1), ("3", 3)])
def test_the_tab_of_an_unmapped_task_has_no_index(text: str, index: int) -> None:
    assert TypeAdapter(MapIndex).validate_python(text) == index


@pytest.mark.parametrize("text", ["", "x", "{OTHER}", "-2", "9" * 30])
def test_another_index_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(MapIndex).validate_python(text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Day, "0001-01-01"),  # a month before it is no date
        (Day, "9999-12-31"),
        (Id, ""),
        (Id, "a\x00"),
        (Region, "x"),
        (Region, "11111111-1111-1111-1111-111111111111/x"),
        (Region, "11111111-1111-1111-1111-11111111111g/1"),
    ],
)
def test_what_a_database_could_not_be_asked_for_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(text)
