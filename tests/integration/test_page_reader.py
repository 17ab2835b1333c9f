"""The database user of docs/page.md, made by its own statements."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy  # noqa: TID253  # its errors are what is tested

from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
from airflow_provider_contacts.ledgers.reports.shapes import Scope
from airflow_provider_contacts.outcome import Status
from tests.support.fresh_databases import fresh_database
from tests.support.ledger_conformance import Database, make
from tests.support.pages import blocks
from tests.support.table_pushing import UrlHook


@pytest.mark.parametrize(("kind", "opening"), [("postgresql", "CREATE ROLE"), ("mariadb", "CREATE USER")])
def test_the_printed_statements_let_read_and_nothing_else(
    kind: str, opening: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (printed,) = [text for text in blocks("docs/page.md", "sql") if text.startswith(opening)]
    with closing(fresh_database(kind, request, tmp_path)) as owner:
        make(owner.open(), "key", Status.INVALID)
        url = sqlalchemy.make_url(owner.url)
        here = str(url.query.get("options", url.database)).rpartition("=")[2]
        statements = re.sub(r"\b(public|crm)\b", here, printed).split(";\n")
        owner.run(*filter(None, statements))
        read = url.set(username="contacts_reader", password="change-me")  # the document's
        with closing(Database(read.render_as_string(hide_password=False))) as reader:
            with OutcomeReports.open(UrlHook(reader.url)) as reports:
                (run,) = reports.runs(Scope(None)).items
                assert [row.record_identifier for row in reports.rows(Scope(None), run.sync_run_id).items] == ["key"]
                assert [row.sync_id for row in reports.record(Scope(None), "key")] == [run.sync_id]
                assert reports.doubts(Scope(None)) == []
            assert len(reader.rows()) == 1
            for table in ("records", "batches", "runs", "syncs"):
                with pytest.raises(sqlalchemy.exc.DBAPIError, match="denied"):
                    reader.run(f"DELETE FROM contact_outcomes_{table}")
