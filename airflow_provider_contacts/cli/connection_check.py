"""``check``: whether a vendor's connection works, and where it stops working."""

from __future__ import annotations

import argparse

from airflow_provider_contacts.cli.outcome_table import find_connections, logs_to_stderr
from airflow_provider_contacts.cli.output import write
from airflow_provider_contacts.cli.program import FAILED, UsageError
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.check import checked
from airflow_provider_contacts.task.parameters import parse_destination


def check(options: argparse.Namespace) -> int:
    """Print every step; fail if one of them did."""
    try:
        destination = parse_destination(options.destination, "--destination")
    except ConfigError as error:
        raise UsageError(str(error)) from None
    find_connections()
    with logs_to_stderr():
        steps = list(checked(options.conn_id, destination))
    write(options.output, [step._asdict() for step in steps])
    return FAILED if any(step.result == "failed" for step in steps) else 0
