from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_contacts

NAME = "airflow_provider_contacts"
assert airflow_provider_contacts.__file__ is not None
PACKAGE = Path(airflow_provider_contacts.__file__).resolve().parent

# What each part may import of the others: operators -> execution -> hooks -> vendors, ledgers -> core.
ALLOWED = {
    "core": frozenset[str](),
    "vendors": frozenset({"core"}),
    "ledgers": frozenset({"core"}),
    "budgets": frozenset({"core", "ledgers", "sql_connections"}),
    "sources": frozenset({"core"}),
    "retry_policy": frozenset({"core"}),
    "provider_info": frozenset({"core", "vendors"}),
    "sql_connections": frozenset({"core"}),
    "push_iterator": frozenset({"core", "ledgers", "sources", "parameters", "reporting", "sql_connections"}),
    "hook_push": frozenset({"core", "push_iterator"}),
    "hooks": frozenset({"core", "vendors", "budgets", "hook_push", "sql_connections"}),
    "connections": frozenset({"core", "hooks", "sql_connections"}),
    "parameters": frozenset({"core", "sources"}),
    "reporting": frozenset({"core"}),
    "execution": frozenset(
        {
            *("core", "vendors", "ledgers", "sources", "retry_policy", "hooks", "connections", "sql_connections"),
            *("parameters", "reporting"),
        }
    ),
    "replay_parameters": frozenset({"core", "parameters"}),
    "replay": frozenset({"core", "ledgers", "execution", "replay_parameters", "reporting"}),
    "settle_parameters": frozenset({"core", "parameters"}),
    "settle": frozenset({"core", "ledgers", "sql_connections", "settle_parameters"}),
    "task_parameters": frozenset[str](),
    "hidden_records": frozenset[str](),
    "base_operator": frozenset({"core", "sources", "parameters", "execution", "task_parameters"}),
    "push_operators": frozenset(
        {
            *("base_operator", "execution", "hidden_records", "parameters", "sources", "sql_connections"),
            "task_parameters",
        }
    ),
    "replay_operator": frozenset(
        {
            *("base_operator", "core", "execution", "parameters", "sources", "sql_connections", "task_parameters"),
            *("replay", "replay_parameters"),
        }
    ),
    "operators": frozenset(
        {
            *("base_operator", "parameters", "push_operators", "replay_operator", "task_parameters"),
            *("hidden_records", "settle", "settle_parameters"),
        }
    ),
    # It plays the vendors from their documentation, not from our reading of it: a shared mistake would hide itself.
    "simulator": frozenset[str](),
}
HEAVY = frozenset({"aiohttp", "authlib", "httpx", "numpy", "pandas", "sqlalchemy"})
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
    """Return ``core`` for ``airflow_provider_contacts.vendor_kit.vendor``, else nothing."""
    ours, _, rest = module.partition(".")
    return rest.partition(".")[0] if ours == NAME else ""


PATHS = sorted(PACKAGE.rglob("*.py"))
MODULES = [module_of(path) for path in PATHS]


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file names in an import, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: imports are absolute"
            base = node.module or ""
            yield base
            # `from airflow_provider_contacts import core` names a part only here.
            yield from (f"{base}.{alias.name}" for alias in node.names if base == NAME)


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


def against_the_arrows(path: Path) -> list[str]:
    part = part_of(module_of(path))
    allowed = ALLOWED[part] | {part, ""}
    return [f"{module_of(path)} -> {module}" for module in imports(path) if part_of(module) not in allowed]


def test_every_part_has_its_place() -> None:
    assert {part_of(module) for module in MODULES} - {""} <= set(ALLOWED), (
        "say in this test what the new part may import"
    )


def test_arrows_point_one_way() -> None:
    assert [arrow for path in PATHS if part_of(module_of(path)) for arrow in against_the_arrows(path)] == []


def test_the_package_itself_imports_nothing() -> None:
    assert list(imports(PACKAGE / "__init__.py")) == []


def test_an_arrow_the_wrong_way_is_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        f"def late():\n    from {NAME} import hooks\n    import {NAME}.vendors.dex\n    from os import path\n"
    )
    assert sorted(module for module in imports(wrong) if part_of(module)) == [f"{NAME}.hooks", f"{NAME}.vendors.dex"]


@pytest.mark.parametrize("part", ["core", "vendors", "simulator"])
def test_these_name_no_airflow(part: str) -> None:
    paths = [path for path in PATHS if part_of(module_of(path)) == part]
    assert [
        module_of(path) for path in paths for module in imports(path) if module.partition(".")[0] == "airflow"
    ] == []


@pytest.mark.parametrize("name", ["operators", "hooks", "provider_info"])
def test_the_three_that_airflow_looks_for_are_there(name: str) -> None:
    assert f"{NAME}.{name}" in MODULES


@pytest.mark.parametrize("part", ["core", "vendors"])
def test_core_and_vendors_load_nothing_heavy(part: str, tmp_path: Path) -> None:
    modules = [module for module in MODULES if part_of(module) == part]
    assert len(modules) > 1
    loaded = loaded_by("\n".join(f"import {module}" for module in modules), tmp_path)
    assert set(modules) <= loaded
    assert roots(loaded) & (HEAVY | {"airflow"}) == frozenset()


def test_provider_info_loads_nothing_heavy(tmp_path: Path) -> None:
    # Airflow calls it while it is itself being imported, in every process.
    code = f"import {NAME}.provider_info\n{NAME}.provider_info.get_provider_info()"
    assert roots(loaded_by(code, tmp_path)) & (HEAVY | {"airflow"}) == frozenset()


@pytest.mark.parametrize("name", ["operators", "hooks", "retry_policy"])
def test_a_dag_file_pays_little_for_us(name: str, tmp_path: Path) -> None:
    loaded = loaded_by(f"import {NAME}.{name}", tmp_path, before=AS_A_DAG_FILE)
    # Where the package is installed Airflow has called provider_info, and with it vendors, before any DAG file.
    assert f"{NAME}.{name}" in loaded
    assert roots(loaded) & HEAVY == frozenset()
    assert [module for module in loaded if module.startswith(f"{NAME}.vendors.")] == []
    assert len(loaded) <= MODULE_BUDGET, sorted(loaded)


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    modules = [module for module in MODULES if not module.endswith("__main__")]
    assert set(modules) <= loaded_by("\n".join(f"import {module}" for module in modules), tmp_path)
