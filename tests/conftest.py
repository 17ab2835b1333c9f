"""Fixtures for every test; Airflow's home is set before anything imports Airflow."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

pytest_plugins = ["tests.support.airflow_fixtures", "tests.support.pushing", "tests.support.sockets"]

# Folders that are no part of the wheel, where the checkout itself is not on the path.
for name in ("bench", "campaigns", "demo"):
    if importlib.util.find_spec(name) is None:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(Path(__file__).resolve().parents[1] / name)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
