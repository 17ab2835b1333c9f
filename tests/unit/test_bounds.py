from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# Imported names whose distribution is called otherwise, or comes with one that pyproject.toml names.
BROUGHT_BY = {
    "airflow": "apache-airflow",
    "airflow.providers.common.sql": "apache-airflow-providers-common-sql",
    # Lineage is asked for by the provider, so it is there then.
    "airflow.providers.common.compat": "apache-airflow-providers-openlineage",
    "airflow.providers.openlineage": "apache-airflow-providers-openlineage",
    "pydantic_core": "pydantic",
    # Of one version with apache-airflow, which the page and the simulator are a part of.
    **dict.fromkeys(("fastapi", "jinja2", "packaging", "starlette", "uvicorn"), "apache-airflow-core"),
    "markupsafe": "jinja2",
}


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    tested = [text for texts in extras.values() for text in texts]
    return [Requirement(text) for text in [*PROJECT["dependencies"], *tested]]


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
    return bound


def pins(name: str) -> Iterator[Requirement]:
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line)


def pinned(requirement: Requirement, name: str) -> Version:
    (pin,) = [pin for pin in pins(name) if canonicalize_name(pin.name) == canonicalize_name(requirement.name)]
    (exact,) = pin.specifier
    return Version(exact.version)


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_lower_bound_and_the_newest_version_are_tested(requirement: Requirement) -> None:
    assert pinned(requirement, "constraints-lower.txt") == lower_bound(requirement), "make constraints"
    for path in ROOT.glob("constraints*.txt"):
        assert requirement.specifier.contains(pinned(requirement, path.name), prereleases=True), path.name


@pytest.mark.parametrize("tool", ["ruff", "codespell"])
def test_pre_commit_runs_the_tools_of_the_constraints(tool: str) -> None:
    (pin,) = [pin for pin in pins("constraints.txt") if pin.name == tool]
    versions = re.findall(rf"/{tool}[-\w]*\n    rev: v(\S+)", (ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert [f"=={version}" for version in versions] == [str(pin.specifier)]


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("constraints*.txt")))
def test_constraints_are_exact_and_name_no_address(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-", text, flags=re.MULTILINE), "an option such as an index does not belong here"
    loose = [str(pin) for pin in pins(name) if [part.operator for part in pin.specifier] != ["=="]]
    assert loose == []


def imported_roots() -> set[str]:
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "airflow_provider_contacts").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    roots = {re.match(r"airflow\.providers\.(common\.)?\w+|\w+", name) for name in names if name}
    return {root[0] for root in roots if root} - {"airflow_provider_contacts"} - set(sys.stdlib_module_names)


def brings(root: str) -> str:
    """Return the distribution that is named where a name is imported."""
    return brings(BROUGHT_BY[root]) if root in BROUGHT_BY else root


def test_what_is_imported_is_required_and_nothing_else() -> None:
    # Without their extra, a shared rate and an export to Parquet say what to install.
    extras = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *extras["rate-limit"], *extras["parquet"]]
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    imported = {canonicalize_name(brings(root)) for root in imported_roots()}
    assert imported == declared | {"apache-airflow-core", "apache-airflow-providers-openlineage"}


@pytest.mark.parametrize(
    "root", ["fastapi", "jinja2", "markupsafe", "packaging", "pydantic_core", "starlette", "uvicorn"]
)
def test_what_is_brought_along_is_required_there(root: str) -> None:
    names = {canonicalize_name(Requirement(text).name) for text in requires(BROUGHT_BY[root]) or ()}
    assert canonicalize_name(root) in names


def files_of(kind: str, name: str) -> dict[str, set[Path]]:
    """Return what each pattern finds by which a list of ``noxfile.py`` names tests of a kind."""
    body = ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body
    lists = {ast.unparse(node.targets[0]): node.value for node in body if isinstance(node, ast.Assign)}
    patterns = [f"tests/{kind}/test_{one}.py" for one in ast.literal_eval(lists[name])]
    return {pattern: set(ROOT.glob(pattern)) for pattern in patterns}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("unit", "ONCE_UNIT"),
        ("integration", "ONCE_INTEGRATION"),
        ("integration", "WITHOUT_AIRFLOW"),
        ("integration", "WITH_MYSQL"),
    ],
)
def test_what_a_session_takes_or_leaves_out_exists(kind: str, name: str) -> None:
    assert [pattern for pattern, found in files_of(kind, name).items() if not found] == []


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_each_bound_is_proven_by_files_that_are_run_with_it(requirement: Requirement) -> None:
    decision = (ROOT / "docs" / "decisions" / "0020-nox.md").read_text("utf-8")
    (proofs,) = re.findall(rf"^\| `{requirement.name}` \| (.*) \|$", decision, flags=re.MULTILINE)
    files = {ROOT / "tests" / f"{name}.py" for name in re.findall(r"`([^`]+)`", proofs)}
    assert files, "docs/decisions/0020-nox.md names the tests that would fail below the bound"
    assert {str(file) for file in files if not file.exists()} == set()
    left_out = files_of("unit", "ONCE_UNIT") | files_of("integration", "ONCE_INTEGRATION")
    assert files & set().union(*left_out.values()) == set()
