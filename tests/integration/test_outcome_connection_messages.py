"""What a task says of an outcome table that cannot be used: its connection, database and name, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.operators import PushContactsOperator, SqlToContactsOperator
from tests.support.pushing import World, people

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import BaseOperator

SHARED: dict[str, Any] = {"contacts_conn_id": "dex_default", "outcomes_conn_id": "outcomes", "sync_key": "key"}


def tasks() -> list[BaseOperator]:
    with DAG("d", schedule=None):
        return [
            PushContactsOperator(task_id="push", records=people(3), **SHARED),
            PushContactsOperator(task_id="plan", records=people(3), plan_only=True, **SHARED),
            SqlToContactsOperator(task_id="sql", sql="SELECT * FROM people", sql_conn_id="warehouse", **SHARED),
        ]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (
            "{}/absent/outcomes.db",
            "SQLite file {}/absent/outcomes.db) cannot be used: OperationalError: unable to open",
        ),
        (":memory:", "SQLite file :memory:) cannot be used: it is gone when its connection is closed"),
        ("", "SQLite without a file) cannot be used: it is gone when its connection is closed"),
    ],
)
@pytest.mark.parametrize("place", range(3))
def test_a_file_that_is_not_there(world: World, tmp_path: Path, host: str, said: str, place: int) -> None:
    world.fill(people(3))
    world.connect("outcomes", host=host.format(tmp_path))
    result = world.run(tasks()[place])
    assert "the outcome table contact_outcomes (connection 'outcomes', " + said.format(tmp_path) in str(result.error)
    assert world.sent() == 0
