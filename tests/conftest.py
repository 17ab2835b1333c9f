"""Fixtures for every test; Airflow's home is set before anything imports Airflow."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import sys
from pathlib import Path

import pytest

pytest_plugins = ["tests.support.airflow_fixtures", "tests.support.pushing", "tests.support.sockets"]

# Folders that are no part of the wheel, where the checkout itself is not on the path.
for name in ("bench", "campaigns", "demo"):
    if importlib.util.find_spec(name) is None:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(Path(__file__).resolve().parents[1] / name)]
        sys.modules[name] = importlib.util.module_from_spec(spec)

# What the id of a case may name that the other cases of its test do not meet.
LIBRARIES = re.compile("arrow|mariadb|mysql|pandas|parquet|polars|postgres|psycopg2|psycopg|sqlite")


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "of the cases of an integration test, run the first for each library that an id names"
    parser.addoption("--first-cases", action="store_true", help=told)


@pytest.hookimpl(tryfirst=True)  # before they are shuffled
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--first-cases"):
        return
    first: dict[object, pytest.Item] = {}
    others = []
    for item in items:
        test, _, case = item.nodeid.partition("[")
        is_integration = test.startswith("tests/integration/")
        chosen_by = (test, frozenset(LIBRARIES.findall(case.lower()))) if is_integration else item.nodeid
        if first.setdefault(chosen_by, item) is not item:
            others.append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = first.values()
