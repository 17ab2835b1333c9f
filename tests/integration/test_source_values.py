"""Odd values in a real push: one record's trouble is its own, and what every library gives is sent."""

from __future__ import annotations

from typing import Any

import numpy as np  # noqa: TID253  # its scalars are what is tested
import pandas as pd  # noqa: TID253  # frames are what is tested
import polars as pl  # noqa: TID253  # likewise
import pytest

from tests.support.pushing import World, counts, people, push

CANARY = "personcanary"


class Hostile:
    """An object that answers nothing."""

    def fail(self, *_: object) -> Any:
        raise ZeroDivisionError(CANARY)

    __str__ = __repr__ = __iter__ = __len__ = __hash__ = __eq__ = __bool__ = fail


@pytest.mark.parametrize(
    ("where", "outcomes"),
    [
        ("key", "outcomes"),
        ("first_name", None),
        ("linkedin_data", "outcomes"),
        ("unknown", None),
        ("unknown", "outcomes"),
    ],
)
def test_an_object_that_answers_nothing_harms_no_neighbour(
    world: World, where: str, outcomes: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    records = people(4)
    records[2] = {**records[2], where: Hostile()}
    summary = world.done(push(records, max_rejected=1, outcomes_conn_id=outcomes))
    assert counts(summary, "succeeded", "invalid") == (3, 1)
    assert len(world.stored()) == 3
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("kind", [lambda rows: rows, pd.DataFrame, pl.DataFrame], ids=["list", "pandas", "polars"])
def test_numbers_of_other_libraries_arrive(world: World, kind: Any) -> None:
    rows = [{"key": 1, "first_name": "A", "birthday_year": 1990, "starred": True}]
    if kind(rows) is rows:
        rows = [{"key": np.int64(1), "first_name": np.str_("A"), "birthday_year": np.int16(1990), "starred": np.True_}]
    world.done(push(kind(rows)))
    assert world.stored() == [{"first_name": "A", "birthday_year": 1990, "starred": True}]
    assert list(world.statuses()) == ["1"]
