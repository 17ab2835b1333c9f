"""Rows to push: a query of any Airflow SQL connection, or records of an upstream task."""

from __future__ import annotations

from airflow_provider_contacts.sources.given_records import rows_of_records
from airflow_provider_contacts.sources.query import rows_of_query
from airflow_provider_contacts.sources.row_source import RowSource, check_key

__all__ = ["RowSource", "check_key", "rows_of_query", "rows_of_records"]
