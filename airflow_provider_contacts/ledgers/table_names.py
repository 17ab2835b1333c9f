"""Rules for the name of an outcome table: of the view that people read, and of the tables behind it."""

from __future__ import annotations

import re

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import not_this

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
SCHEMA_LIMIT = 63  # PostgreSQL's; MySQL takes one more
NAME_LIMIT = 52  # leaves room for the names of tables and indexes that begin with it


def names(table: str) -> tuple[str | None, str]:
    """Return schema and name of ``table``; refuse other than plain names that leave room for the tables' own."""
    parts = table.split(".")
    room = (SCHEMA_LIMIT,) * (len(parts) - 1) + (NAME_LIMIT,)
    if len(parts) > 2 or not all(  # noqa: PLR2004  # schema and name
        NAME.fullmatch(part) and len(part) <= most for part, most in zip(parts, room, strict=True)
    ):
        raise ConfigError(
            "outcomes_table must be a name or schema.name of letters, digits, _ and $, not beginning with a digit; "
            f"the schema at most {SCHEMA_LIMIT} characters, the name at most {NAME_LIMIT}{not_this(table)}"
        )
    return (parts[0] if len(parts) > 1 else None), parts[-1]
