"""Which executions of tasks share a run: every try, and no other iteration of a loop."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from airflow_provider_contacts.task.connections import run_of

REGION = UUID("01a22ec7-1afa-7f34-bffd-1184d7f78fdb")
NONE = UUID(int=0)
LOOP: dict[str, Any] = {"loop": "the loop's own context"}
FIRST = f"{REGION}/0"


@pytest.mark.parametrize(
    ("ids", "told", "region", "text"),
    [
        # Below Airflow 3.4.
        ({"map_index": -1}, {}, None, "d/r/t/-1"),
        ({"map_index": None}, {}, None, "d/r/t/-1"),
        ({"map_index": 2}, {}, None, "d/r/t/2"),
        # The same in 3.4: of a mapped task the region is the expansion, which tells nothing more.
        ({"map_index": -1, "region_id": None, "region_index": None}, {}, None, "d/r/t/-1"),
        ({"map_index": -1, "region_id": NONE, "region_index": -1}, {}, None, "d/r/t/-1"),
        ({"map_index": 2, "region_id": NONE, "region_index": 2}, {}, None, "d/r/t/2"),
        ({"map_index": 2, "region_id": REGION, "region_index": 2}, {}, None, "d/r/t/2"),
        # In a loop.
        ({"map_index": -1, "region_id": REGION, "region_index": 0}, LOOP, FIRST, f"d/r/t/-1/{FIRST}"),
        ({"map_index": -1, "region_id": REGION, "region_index": 0}, {}, FIRST, f"d/r/t/-1/{FIRST}"),
        # Mapped in a loop: each iteration has an expansion of its own.
        ({"map_index": 0, "region_id": REGION, "region_index": 0}, LOOP, FIRST, f"d/r/t/0/{FIRST}"),
    ],
)
def test_which_run_the_rows_belong_to(ids: dict[str, Any], told: dict[str, Any], region: str | None, text: str) -> None:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", try_number=3, **ids)
    run = run_of({"ti": ti, **told})
    assert (run.sync_run_id, run.region, run.try_number) == (text, region, 3)
