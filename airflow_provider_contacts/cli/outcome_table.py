"""From the arguments of a command to the outcome table's connection."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.cli.output import write
from airflow_provider_contacts.cli.program import UsageError
from airflow_provider_contacts.errors import ConfigError, ContactsError

if TYPE_CHECKING:
    from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
    from airflow_provider_contacts.task.parameters import Parser

STATEMENT_SECONDS = 60.0
"""Longer than the page waits: its request must not keep a thread of the API server."""


def find_connections() -> None:
    """Have this process find connections where an API server does: environment, secrets backend, metadata database.

    Airflow's own commands that open a connection do the same; else the metadata database would be left out.
    """
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    # By which Airflow 3.4 means its own code, at every connection that it finds elsewhere than in the environment.
    warnings.filterwarnings("ignore", "ProvidersManager.hooks is deprecated")


def logs_to_stderr() -> AbstractContextManager[object]:
    """Keep logs out of the output: Airflow's loggers write to what is standard output when they are first used."""
    return redirect_stdout(sys.stderr)


def named_by(options: argparse.Namespace) -> tuple[str, str]:
    """Return the connection id and the name of the outcome table."""
    from airflow_provider_contacts.task.connections import named_table

    conn_id, table = named_table()
    conn_id, table = options.outcomes_conn_id or conn_id, options.outcomes_table or table
    if not conn_id:
        raise UsageError(
            "no outcome table is named: give --outcomes-conn-id, or set outcomes_conn_id in section [contacts] of "
            "Airflow's configuration (AIRFLOW__CONTACTS__OUTCOMES_CONN_ID)"
        )
    return conn_id, table


def parsed_as(parsers: Mapping[str, Parser], options: argparse.Namespace, **given: Any) -> dict[str, Any]:
    """Return the outcome table and other arguments, parsed as the parameters of the operator that does the same."""
    from airflow_provider_contacts.task.parameters import parse_all

    find_connections()
    conn_id, table = named_by(options)
    try:
        return parse_all(parsers, {"outcomes_conn_id": conn_id, "outcomes_table": table, **given})
    except ConfigError as error:
        raise UsageError(str(error)) from None


def check_terminal(options: argparse.Namespace) -> None:
    """Refuse to write where nobody can be asked, and nobody has agreed before."""
    if not options.yes and not sys.stdin.isatty():
        raise UsageError("no terminal is there to ask at, so nothing is written: give --yes")


def ask(options: argparse.Namespace, question: str) -> None:
    """Go on only if a person agrees, or has agreed before."""
    if options.yes:
        return
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise ContactsError("nothing is written")


def tell(options: argparse.Namespace, summary: Mapping[str, Any], why: Callable[[Mapping[str, Any]], str]) -> int:
    """Print the counts of a summary; fail where nothing was done for some of what is named."""
    write(
        options.output,
        [{name: value for name, value in summary.items() if name not in {"places", "digests"}}],
        blocks=[""],
    )
    if summary["places"]:
        raise ContactsError(why(summary))
    return 0


def reports_of(options: argparse.Namespace) -> OutcomeReports:
    """Open the outcome table for reading."""
    find_connections()
    with logs_to_stderr():
        from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
        from airflow_provider_contacts.task.connections import sql_hook

        conn_id, table = named_by(options)
        hook = sql_hook(conn_id, "outcomes_conn_id")
    return OutcomeReports.open(hook, table, statement_seconds=STATEMENT_SECONDS)


def keys_of(given: str) -> list[str]:
    """Return the keys that an argument names: itself, or the lines of standard input."""
    keys = texts([given])
    if not keys or not given:
        raise UsageError("no key is given: name one, or write one a line to standard input")
    return keys


def texts(given: Sequence[str]) -> list[str]:
    """Return what is named; ``-`` stands for the lines of standard input."""
    # Not splitlines(): it also parts at characters that a key may hold.
    found = [line.rstrip("\n") for line in sys.stdin if line.strip()] if list(given) == ["-"] else list(given)
    if any(one.encode("utf-8", "ignore").decode() != one for one in found):
        raise UsageError("what is named is no text in UTF-8: look at the encoding of this terminal")
    return found
