"""Parameters of the page's addresses; a value that does not fit is refused with 422."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import Depends, Path
from pydantic import BeforeValidator, Field

from airflow_provider_contacts.ledgers.reports.shapes import RowFilter, RunFilter


def given(value: object) -> object:
    """Return what a form gives for a field; an empty one is none. No database takes a NUL character."""
    if isinstance(value, str) and "\x00" in value:
        raise ValueError
    return value or None


def index(value: object) -> object:
    """Return a map index; Airflow's tab fills in its placeholder for mapped tasks alone."""
    return -1 if value == "{MAP_INDEX}" else value


REGION = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[0-9]{1,9}$"
"""A region as the runs name it; Airflow knows it by its two parts."""

Text = Annotated[str | None, BeforeValidator(given)]
# A month before the first day, and a day after the last, are asked for, too.
Day = Annotated[Annotated[date, Field(ge=date(1970, 1, 1), lt=date(9999, 1, 1))] | None, BeforeValidator(given)]
Id = Annotated[str, BeforeValidator(given)]
MapIndex = Annotated[int, BeforeValidator(index), Field(ge=-1, lt=2**31)]
Region = Annotated[Annotated[str, Field(pattern=REGION)] | None, BeforeValidator(given)]
RunNo = Annotated[int, Path(ge=0, lt=2**63)]


def run_filter(
    dag_id: Text = None, destination: Text = None, status: Text = None, since: Day = None, until: Day = None
) -> RunFilter:
    """Return which runs are asked for."""
    return RunFilter(dag_id=dag_id, destination=destination, status=status, since=since, until=until)


def row_filter(status: Text = None, error_code: Text = None) -> RowFilter:
    """Return which rows of a run are asked for."""
    return RowFilter(status=status, error_code=error_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKey:
    """Which task instance is asked for; ``region`` tells iterations of a loop apart."""

    dag_id: str
    run_id: Id
    task_id: Id
    map_index: MapIndex = -1
    region: Region = None


Task = Annotated[TaskKey, Depends()]
WhichRuns = Annotated[RunFilter, Depends(run_filter)]
WhichRows = Annotated[RowFilter, Depends(row_filter)]
