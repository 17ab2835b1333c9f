"""``export``: the rows of one run into a file or an object."""

from __future__ import annotations

import argparse

from airflow_provider_contacts.cli.outcome_table import find_connections, logs_to_stderr, reports_of
from airflow_provider_contacts.cli.output import write
from airflow_provider_contacts.cli.pushes import tries_of
from airflow_provider_contacts.errors import ContactsError
from airflow_provider_contacts.ledgers.reports.shapes import EVERYTHING
from airflow_provider_contacts.task.export import Form, export_rows, folder_at


def export(options: argparse.Namespace) -> int:
    """Write the object, and print where it is."""
    find_connections()
    form = Form(file_format=options.format, payloads=options.payloads, identifiers=options.identifiers)
    with logs_to_stderr():
        folder = folder_at(options.path, options.path_conn_id)
    with reports_of(options) as reports:
        run = tries_of(reports, options.run)[0]
        rows = reports.each_row(EVERYTHING, run.sync_run_id)
        try:
            done = export_rows(rows, folder, form, sync_id=run.sync_id, sync_run_id=run.sync_run_id)
        except OSError as error:
            told = error.strerror or error
            raise ContactsError(
                f"--path: {options.path!r} takes no object ({told}): look at its rights and space"
            ) from None
    write(options.output, [{"path": done.path, "num_rows": done.num_rows, "status": run.status}], blocks=[""])
    return 0
