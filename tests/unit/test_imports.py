from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

import airflow_provider_contacts

NAME = "airflow_provider_contacts"
assert airflow_provider_contacts.__file__ is not None
PACKAGE = Path(airflow_provider_contacts.__file__).resolve().parent

# Where no library that takes long to import may be loaded.
LIGHT = ("engine", "pacing", "reconcile", "records", "transport", "vendor_kit", "vendors")
HEAVY = frozenset({"aiohttp", "httpx", "httpx2", "numpy", "pandas", "sqlalchemy"})
# What every DAG file has loaded before it comes to us.
AS_A_DAG_FILE = "from airflow.sdk import DAG, BaseHook, BaseOperator, task"
MODULE_BUDGET = 15
FRESH = """
import json, sys
{before}
known = set(sys.modules)
{code}
print(json.dumps(sorted(set(sys.modules) - known)))
"""


def module_of(path: Path) -> str:
    parts = (NAME, *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """Return ``vendor_kit`` for ``airflow_provider_contacts.vendor_kit.vendor``, else nothing."""
    ours, _, rest = module.partition(".")
    return rest.partition(".")[0] if ours == NAME else ""


PATHS = sorted(PACKAGE.rglob("*.py"))
MODULES = [module_of(path) for path in PATHS]


def loaded_by(code: str, home: Path, before: str = "") -> frozenset[str]:
    """Return the names of the modules that ``code`` adds in a fresh interpreter, after ``before`` has run."""
    script = FRESH.format(before=before, code=code)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "AIRFLOW_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout.splitlines()[-1]))


def roots(modules: frozenset[str]) -> frozenset[str]:
    return frozenset(module.partition(".")[0] for module in modules)


@pytest.mark.parametrize("part", LIGHT)
def test_these_load_nothing_heavy(part: str, tmp_path: Path) -> None:
    modules = [module for module in MODULES if part_of(module) == part]
    assert len(modules) > 1
    loaded = loaded_by("\n".join(f"import {module}" for module in modules), tmp_path)
    assert set(modules) <= loaded
    assert roots(loaded) & (HEAVY | {"airflow"}) == frozenset()


def test_provider_info_loads_nothing_heavy(tmp_path: Path) -> None:
    # Airflow calls it while it is itself being imported, in every process.
    code = f"import {NAME}.provider_info\n{NAME}.provider_info.get_provider_info()"
    assert roots(loaded_by(code, tmp_path)) & (HEAVY | {"airflow"}) == frozenset()


def test_every_call_of_airflow_pays_little_for_our_commands(tmp_path: Path) -> None:
    code = f"from {NAME}.cli.definition import get_cli_commands\n(group,) = get_cli_commands()"
    loaded = loaded_by(code, tmp_path, before="import airflow.cli.cli_config")
    assert f"{NAME}.cli.definition" in loaded
    assert len(loaded) <= 5, sorted(loaded)


def test_the_plugin_loads_nothing_but_itself(tmp_path: Path) -> None:
    # Airflow loads it in every process; the page comes with its first request.
    loaded = loaded_by(f"import {NAME}.plugin", tmp_path, before="import airflow.plugins_manager, asyncio")
    assert {module for module in loaded if "airflow" in module} - {NAME} == {f"{NAME}.plugin"}
    assert roots(loaded) & {*HEAVY, "fastapi", "jinja2", "starlette"} == frozenset()


@pytest.mark.parametrize("name", ["operators", "decorators", "hooks", "retry_policy"])
def test_a_dag_file_pays_little_for_us(name: str, tmp_path: Path) -> None:
    loaded = loaded_by(f"import {NAME}.{name}", tmp_path, before=AS_A_DAG_FILE)
    # Where the package is installed Airflow has called provider_info, and with it vendors, before any DAG file.
    assert f"{NAME}.{name}" in loaded
    assert roots(loaded) & HEAVY == frozenset()
    assert [module for module in loaded if module.startswith(f"{NAME}.vendors.")] == []
    assert len(loaded) <= MODULE_BUDGET, sorted(loaded)


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    # Airflow's API server, of which the page is a part, needs a newer pydantic than our lowest one.
    absent = set() if hasattr(FieldInfo, "_copy") else {"page"}
    modules = [module for module in MODULES if not module.endswith("__main__") and part_of(module) not in absent]
    assert set(modules) <= loaded_by("\n".join(f"import {module}" for module in modules), tmp_path)
