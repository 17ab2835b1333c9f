"""The database's own clock, in UTC: workers' clocks differ, and ages decide what may be sent again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (  # noqa: TID253  # this module is imported only by what uses a table
    ColumnElement,
    Double,
    cast,
    extract,
    func,
    literal,
    literal_column,
)

from airflow_provider_contacts.ledgers.sql.tables import Flavour

SECONDS_OF_A_DAY = 86_400.0


NOW: dict[Flavour, str] = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "postgresql": "clock_timestamp()",
    "mysql": "UTC_TIMESTAMP(6)",
    "mariadb": "UTC_TIMESTAMP(6)",
}
"""The present moment as the tables store it; where a transaction waits for a lock, after the wait."""


def now(flavour: Flavour) -> ColumnElement[Any]:
    """Return the present moment."""
    return literal_column(NOW[flavour])


def seconds_since(moment: ColumnElement[Any], flavour: Flavour) -> ColumnElement[Any]:
    """Return the age of a moment in seconds, null for none."""
    match flavour:
        case "sqlite":
            return (func.julianday("now") - func.julianday(moment)) * literal(SECONDS_OF_A_DAY)
        case "postgresql":
            return cast(extract("epoch", func.clock_timestamp() - moment), Double)
        case "mysql" | "mariadb":
            passed = func.timestampdiff(literal_column("MICROSECOND"), moment, func.utc_timestamp(literal_column("6")))
            return passed / literal(1_000_000.0)
