"""The command that prints the DDL of the outcome table, for databases where tasks may not create tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_contacts.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    from airflow_provider_contacts.ledgers.sql import ddl, tables

    parser = argparse.ArgumentParser(prog="python -m airflow_provider_contacts.ledgers")
    command = parser.add_subparsers(required=True).add_parser(
        "ddl",
        help="print the statements that create the tables and the view",
        description="Print the statements that create the outcome table, a view, and the tables behind it, for "
        "databases where tasks may not create tables (create_tables=False). Nothing is connected to.",
        epilog="example: python -m airflow_provider_contacts.ledgers ddl postgresql --table crm.contact_outcomes",
    )
    command.add_argument("database", choices=tables.FLAVOURS, help="the kind of database that holds the tables")
    command.add_argument(
        "--table",
        default="contact_outcomes",
        metavar="NAME",
        help="name or schema.name, as outcomes_table on the task (default: %(default)s)",
    )
    chosen = parser.parse_args(arguments)
    try:
        sys.stdout.write(ddl.ddl(tables.build(chosen.table, chosen.database)))
    except ConfigError as error:
        command.error(f"argument --table: {error}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
