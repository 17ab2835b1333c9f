from __future__ import annotations

import os
import sysconfig
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import airflow_provider_contacts

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "airflow-provider-contacts"

pytestmark = pytest.mark.skipif(
    os.environ.get("CONTACTS_TEST_INSTALLED") != "1", reason="`make test` sets CONTACTS_TEST_INSTALLED=1"
)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_what_is_imported_is_what_was_installed() -> None:
    assert airflow_provider_contacts.__file__ is not None
    folder = Path(airflow_provider_contacts.__file__).resolve().parent
    assert folder == Path(sysconfig.get_path("purelib")).resolve() / "airflow_provider_contacts"


def test_what_was_installed_is_this_checkout() -> None:
    assert airflow_provider_contacts.__file__ is not None
    installed = contents(Path(airflow_provider_contacts.__file__).parent)
    checkout = contents(ROOT / "airflow_provider_contacts")
    assert sorted(installed) == sorted(checkout)
    assert [name for name, content in checkout.items() if installed[name] != content] == []
    assert "py.typed" in installed


def test_airflow_finds_the_provider_by_its_entry_point() -> None:
    (found,) = [
        point
        for point in entry_points(group="apache_airflow_provider")
        if point.dist and point.dist.name == DISTRIBUTION
    ]
    info = found.load()()
    assert info["package-name"] == DISTRIBUTION
    assert version(DISTRIBUTION) in info.get("versions", [version(DISTRIBUTION)])
