"""Configurations for the trigger form of a DAG that settles records or sends them again: digests, never keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_contacts.ledgers.reports.shapes import CodeCount, RecordRow, RowFilter
from airflow_provider_contacts.outcome import IN_DOUBT

NOT_THERE = ("failed", "rejected", "invalid")
"""Statuses whose records certainly do not exist at the vendor."""


def replay_conf(sync_id: str, codes: Iterable[CodeCount], which: RowFilter) -> dict[str, Any] | None:
    """Return what sends again the rows that are shown; ``None`` if none of them is certainly not at the vendor."""
    there = {one.status for one in codes}
    statuses = [one for one in NOT_THERE if one in there and which.status in {None, one}]
    codes_of = [which.error_code] if which.error_code else []
    return {"sync_id": sync_id, "statuses": statuses, "error_codes": codes_of} if statuses else None


def settle_conf(sync_id: str, rows: Iterable[RecordRow]) -> dict[str, Any] | None:
    """Return what settles the rows in doubt that are shown, ``None`` if there are none.

    As it is, it is refused: a person fills in the vendor's ids, moves what is not at the vendor to ``missing``, and
    signs.
    """
    found = {row.digest: "" for row in rows if row.status in IN_DOUBT}
    return {"sync_id": sync_id, "found": found, "missing": [], "settled_by": ""} if found else None
