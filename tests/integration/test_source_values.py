"""Odd values in a real push: one record's trouble is its own, and what every library gives is sent."""

from __future__ import annotations

from typing import Any

import numpy as np  # noqa: TID253  # its scalars are what is tested
import pandas as pd  # noqa: TID253  # frames are what is tested
import polars as pl  # noqa: TID253  # likewise
import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.operators import PushContactsOperator
from tests.support.pushing import World, people

CANARY = "personcanary"


class Hostile:
    """An object that answers nothing."""

    def fail(self, *_: object) -> Any:
        raise ZeroDivisionError(CANARY)

    __str__ = __repr__ = __iter__ = __len__ = __hash__ = __eq__ = __bool__ = fail


def push(records: Any, **parameters: Any) -> Any:
    given = {"task_id": "push", "contacts_conn_id": "dex_default", "sync_key": "key", "outcomes_conn_id": "outcomes"}
    with DAG("d", schedule=None):
        return PushContactsOperator(**{**given, **parameters}, records=records)


@pytest.mark.parametrize("outcomes", ["outcomes", None])
@pytest.mark.parametrize("where", ["key", "first_name", "description", "linkedin_data", "unknown"])
def test_an_object_that_answers_nothing_harms_no_neighbour(
    world: World, where: str, outcomes: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    records = people(4)
    records[2] = {**records[2], where: Hostile()}
    op = push(records, max_rejected=1, outcomes_conn_id=outcomes)
    result = world.run(op)
    assert result.error is None
    summary = world.summary(op)
    assert (summary["num_succeeded"], summary["num_invalid"]) == (3, 1)
    assert len(world.stored()) == 3
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("kind", [lambda rows: rows, pd.DataFrame, pl.DataFrame], ids=["list", "pandas", "polars"])
def test_numbers_of_other_libraries_arrive(world: World, kind: Any) -> None:
    rows = [{"key": 1, "first_name": "A", "birthday_year": 1990, "starred": True}]
    if kind(rows) is rows:
        rows = [{"key": np.int64(1), "first_name": np.str_("A"), "birthday_year": np.int16(1990), "starred": np.True_}]
    op = push(kind(rows))
    assert world.run(op).error is None
    assert world.stored() == [{"first_name": "A", "birthday_year": 1990, "starred": True}]
    assert list(world.statuses()) == ["1"]


def test_nothing_to_push_is_a_success(world: World) -> None:
    op = push(None)
    assert world.run(op).error is None
    assert world.summary(op)["num_planned"] == 0


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([("p1", "Ada")], "rows without column names"),
        ([{"kex": "p1", "first_name": "Ada"}], "sync_key names columns ['key'] that none of the first 1 records has"),
    ],
)
def test_records_that_can_be_none_are_a_configuration_error(world: World, records: Any, text: str) -> None:
    result = world.run(push(records))
    assert (result.state, type(result.error).__name__) == ("failed", "AirflowFailException")
    assert text in str(result.error)
    assert world.statuses() == {}
