"""``export``: the rows of one run into a file or an object."""

from __future__ import annotations

import argparse

from airflow_provider_contacts.cli.outcome_table import find_connections, logs_to_stderr, reports_of
from airflow_provider_contacts.cli.output import write
from airflow_provider_contacts.cli.pushes import tries_of
from airflow_provider_contacts.task.export import export_run, folder_at
from airflow_provider_contacts.task.export_formats import Form


def export(options: argparse.Namespace) -> int:
    """Write the object, and print where it is."""
    find_connections()
    form = Form(file_format=options.format, payloads=options.payloads, identifiers=options.identifiers)
    with logs_to_stderr():
        folder = folder_at(options.path, options.path_conn_id)
    with reports_of(options) as reports, logs_to_stderr():
        run = tries_of(reports, options.run)[0]
        done = export_run(reports, run, folder, form)
    write(options.output, [{"path": done.path, "num_rows": done.num_rows, "status": run.status}], blocks=[""])
    return 0
