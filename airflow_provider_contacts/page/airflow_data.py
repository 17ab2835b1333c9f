"""Airflow's own database: summaries in XCom and DAGs to trigger are read, the audit log is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from airflow.models import Log
from airflow.models.dag import DagModel, DagTag
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select  # noqa: TID253  # nothing but the API server imports this

REPLAY_TAGS = ("contacts", "replay")
"""Tags of the DAGs that settle records and send them again."""


def summary_of(dag_id: str, run_id: str, task_id: str, map_index: int, region: str | None) -> dict[str, Any] | None:
    """Return the summary that a push left in XCom, if there is one."""
    # Below Airflow 3.4 there are no loops.
    loop: dict[str, Any] = {}
    if region is not None:
        if not hasattr(XComModel, "region_id"):
            return None
        region_id, _, index = region.partition("/")
        loop, map_index = {"region_id": UUID(region_id)}, int(index)
    statement = XComModel.get_many(
        run_id=run_id, key="return_value", dag_ids=dag_id, task_ids=task_id, map_indexes=map_index, limit=1, **loop
    )
    with create_session() as session:
        found = session.scalars(statement).first()
        value = found.value if found is not None else None
    # Workers store JSON; older values are JSON in a text.
    value = json.loads(value) if isinstance(value, str) and value.startswith("{") else value
    return value if isinstance(value, dict) and "sync_run_id" in value else None


def replay_dags(dag_ids: Iterable[str]) -> list[str]:
    """Return those of the DAGs that settle records or send them again, by their tags."""
    with create_session() as session:
        tagged = [select(DagTag.dag_id).where(DagTag.name == tag) for tag in REPLAY_TAGS]
        found = select(DagModel.dag_id).where(~DagModel.is_stale, *(DagModel.dag_id.in_(one) for one in tagged))
        return sorted(set(session.scalars(found)) & set(dag_ids))


def write_look(user: Any, dag_id: str | None, extra: Mapping[str, object]) -> None:
    """Write into Airflow's audit log that a user has seen records in clear."""
    with create_session() as session:
        session.add(
            Log(
                event="contacts.show_records",
                owner=user.get_name(),
                owner_display_name=user.get_name(),
                dag_id=dag_id,
                extra=json.dumps(extra),
            )
        )
