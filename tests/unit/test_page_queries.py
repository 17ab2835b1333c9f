from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from airflow_provider_contacts.page.queries import MapIndex


@pytest.mark.parametrize(("text", "index"), [("{MAP_INDEX}", -1), ("-1", -1), ("3", 3)])
def test_the_tab_of_an_unmapped_task_has_no_index(text: str, index: int) -> None:
    assert TypeAdapter(MapIndex).validate_python(text) == index


@pytest.mark.parametrize("text", ["", "x", "{OTHER}"])
def test_another_index_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(MapIndex).validate_python(text)
