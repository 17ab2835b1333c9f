"""What an argument and a command are, and the arguments of several; as light as ``definition``, which needs them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: what ``add_argument`` of argparse takes."""

    flags: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :param function: path of the function that runs it: it takes the parsed arguments and returns the exit code.
    :param epilog: below the arguments in its help.
    """

    name: str
    help: str
    function: str
    arguments: tuple[Argument, ...]
    epilog: str | None = None


def argument(*flags: str, **settings: Any) -> Argument:
    """Return one argument."""
    return Argument(flags, settings)


def whole_number(least: int, most: int, text: str) -> int:
    """Return a number between two."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise ArgumentTypeError(f"a number from {least} to {most} is wanted")
    return int(text)


def day(text: str) -> date:
    """Return a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("give a day, such as 2026-01-31") from None


# No square brackets in any help: Airflow's prints them as markup.
OUTPUT = argument(
    "-o",
    "--output",
    choices=("table", "json", "yaml", "plain"),
    default="table",
    metavar="FORMAT",
    help="table, json, yaml or plain (default: %(default)s)",
)
YES = argument("-y", "--yes", action="store_true", help="do not ask before anything is written")
TABLE = (
    argument(
        "--outcomes-conn-id",
        metavar="CONN_ID",
        help="connection of the outcome table (default: outcomes_conn_id in section contacts of Airflow's options)",
    ),
    argument(
        "--outcomes-table",
        metavar="NAME",
        help="name or schema.name of the outcome table (default: outcomes_table of that section, contact_outcomes)",
    ),
)
WITH_STATUS = "only those with this status"
LIMIT = argument(
    "--limit",
    type=partial(whole_number, 1, 1_000_000),
    default=50,
    metavar="NUMBER",
    help="rows at most (default: %(default)s)",
)
KEY = argument("key", metavar="KEY", help="a record's key or digest; - reads keys from standard input, a line each")
