"""Print the DDL of the outcome table: ``python -m airflow_provider_contacts.ledgers ddl``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from airflow_provider_contacts.cli.definition import DDL
from airflow_provider_contacts.cli.program import UsageError
from airflow_provider_contacts.cli.program import main as program
from airflow_provider_contacts.errors import ConfigError


def run(options: Any) -> int:
    """Print the statements that create the outcome table, for a database where tasks may not create tables."""
    from airflow_provider_contacts.ledgers.sql import ddl, tables

    try:
        sys.stdout.write(ddl.ddl(tables.build(options.table, options.database)))
    except ConfigError as error:
        raise UsageError(f"argument --table: {error}") from None
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return program(arguments, [DDL], "python -m airflow_provider_contacts.ledgers")


if __name__ == "__main__":
    raise SystemExit(main())
