"""Print the DDL of the outcome table, for those who create it by hand: ``... ddl postgresql --table crm.outcomes``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_contacts.core.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    from airflow_provider_contacts.ledgers import tables

    parser = argparse.ArgumentParser(prog="python -m airflow_provider_contacts.ledgers", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("ddl", help="print the statements that create the tables")
    command.add_argument("database", choices=tables.FLAVOURS)
    command.add_argument("--table", default="contact_outcomes", help="name or schema.name (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        sys.stdout.write(tables.ddl(tables.build(chosen.table, chosen.database)))
    except ConfigError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
