"""Expressions that every statement shares: the database's clock, and what a record has from its batch.

The clock is the database's own, in UTC: workers' clocks differ, and ages decide what may be sent again. A record's
status is its own, else its batch's.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.dialects import postgresql  # noqa: TID253  # likewise

from airflow_provider_contacts.ledgers.sql.tables import Flavour, Tables
from airflow_provider_contacts.records.forgotten import LENGTH, PREFIX
from airflow_provider_contacts.vendor_kit.sanitize import ERRORS_KEPT

SECONDS_OF_A_DAY = 86_400.0

NOW: dict[Flavour, str] = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "postgresql": "clock_timestamp()",
    "mysql": "UTC_TIMESTAMP(6)",
    "mariadb": "UTC_TIMESTAMP(6)",
}
"""The present moment as the tables store it; where a transaction waits for a lock, after the wait."""


def now(flavour: Flavour) -> sa.ColumnElement[Any]:
    """Return the present moment."""
    return sa.literal_column(NOW[flavour])


def seconds_since(moment: sa.ColumnElement[Any], flavour: Flavour) -> sa.ColumnElement[Any]:
    """Return the age of a moment in seconds, null for none."""
    match flavour:
        case "sqlite":
            return (sa.func.julianday("now") - sa.func.julianday(moment)) * sa.literal(SECONDS_OF_A_DAY)
        case "postgresql":
            return sa.cast(sa.extract("epoch", sa.func.clock_timestamp() - moment), sa.Double)
        case "mysql" | "mariadb":
            passed = sa.func.timestampdiff(
                sa.literal_column("MICROSECOND"), moment, sa.func.utc_timestamp(sa.literal_column("6"))
            )
            return passed / sa.literal(1_000_000.0)


def joined(tables: Tables) -> sa.FromClause:
    """Return records, each with its batch and its run where they are there."""
    records, batches, runs = tables.records, tables.batches, tables.runs
    with_batch = records.outerjoin(batches, batches.c.batch_no == records.c.batch_no)
    return with_batch.outerjoin(runs, runs.c.run_no == batches.c.run_no)


def status_of(records: Any, batches: Any) -> sa.ColumnElement[Any]:
    """Return a record's status."""
    return sa.case((records.status.is_(None), batches.status), else_=records.status)


def own(records: Any, name: str, otherwise: sa.ColumnElement[Any] | None = None) -> sa.ColumnElement[Any]:
    """Return a word of a record with a status of its own, ``otherwise`` of another."""
    return sa.case((records.status.is_(None), sa.null() if otherwise is None else otherwise), else_=records[name])


def is_forgotten(identifier: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return whether a record is kept under the name of a forgotten one."""
    begins = sa.func.substr(identifier, 1, len(PREFIX)) == PREFIX
    return sa.and_(begins, sa.func.length(identifier) == LENGTH)


def record_id_of(records: Any, batches: Any, flavour: Flavour) -> sa.ColumnElement[Any]:
    """Return the vendor's id of a record."""
    ids = at_place(batches.ids, records, flavour)
    if flavour == "postgresql":
        ids = sa.type_coerce(batches.ids, postgresql.ARRAY(sa.Text))[records.place + 1]
    return own(records, "destination_record_id", ids)


def payload_of(records: Any, batches: Any, flavour: Flavour) -> sa.ColumnElement[Any]:
    """Return the payload that was sent last, if it is stored."""
    return own(records, "record_payload", at_place(batches.body, records, flavour))


def at_place(array: sa.ColumnElement[Any], records: Any, flavour: Flavour) -> sa.ColumnElement[Any] | None:
    """Return a record's element of a JSON array of its batch; ``None`` where batches have none."""
    match flavour:
        case "sqlite":
            place = sa.literal_column("'$['").concat(sa.cast(records.place, sa.Text)).concat(sa.literal_column("']'"))
            return sa.func.json_extract(array, place)
        case "postgresql":
            return sa.cast(array, postgresql.JSON).op("->")(records.place)
        case "mysql" | "mariadb":
            return None


def without_messages(errors: str, flavour: Flavour) -> str:
    """Return stored reasons with codes and fields alone, as SQL writes it; null for what is no JSON."""
    match flavour:
        case "sqlite":
            code, field = (f"json_extract({errors}, e.fullkey || '.{name}')" for name in ("code", "field"))
            each = f"json_group_array(json_object('code', {code}, 'field', {field})) FROM json_each({errors}) AS e"
            return f"CASE WHEN json_valid({errors}) THEN (SELECT {each}) END"
        case "postgresql":
            code, field = (f"e.value -> '{name}'" for name in ("code", "field"))
            each = (
                f"json_agg(json_build_object('code', {code}, 'field', {field})) FROM json_array_elements({errors}) AS e"
            )
            return f"CASE json_typeof({errors}) WHEN 'array' THEN (SELECT {each}) END"
        case "mysql" | "mariadb":
            paths = ", ".join(f"'$[{place}].message'" for place in range(ERRORS_KEPT))
            return f"CASE WHEN JSON_VALID({errors}) THEN JSON_REMOVE({errors}, {paths}) END"
