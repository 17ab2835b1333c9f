"""Fixtures for every test; Airflow's home is set before anything imports Airflow."""

from __future__ import annotations

pytest_plugins = ["tests.support.airflow_fixtures", "tests.support.pushing", "tests.support.sockets"]
