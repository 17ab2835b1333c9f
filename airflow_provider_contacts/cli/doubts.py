"""``unknown``: what is in doubt."""

from __future__ import annotations

import argparse

from airflow_provider_contacts.cli.outcome_table import reports_of
from airflow_provider_contacts.cli.output import jsonable, write
from airflow_provider_contacts.cli.pushes import RECORD_COLUMNS, tell_of_more
from airflow_provider_contacts.ledgers.reports.shapes import EVERYTHING

GROUP_COLUMNS = ("sync_id", "destination", "num_unknown", "num_sending", "hour", "day", "week", "older", "oldest")


def unknown(options: argparse.Namespace) -> int:
    """Print the syncs with records in doubt, or the records of one."""
    with reports_of(options) as reports:
        if options.sync_id is None:
            groups = [{**one, **one["by_age"]} for one in map(jsonable, reports.doubts(EVERYTHING))]
            write(options.output, groups, columns={"": GROUP_COLUMNS})
            return 0
        page = reports.rows_in_doubt(EVERYTHING, options.sync_id, limit=options.limit)
    write(options.output, [jsonable(row) for row in page.items], columns={"": RECORD_COLUMNS})
    tell_of_more(page)
    return 0
