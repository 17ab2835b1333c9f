"""Fixtures for every test; Airflow's home is set before anything imports Airflow."""

from __future__ import annotations

pytest_plugins = ["tests.airflow_fixtures", "tests.pushing", "tests.sockets"]
