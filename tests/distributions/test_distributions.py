"""What `make dist` has built and installed: sdist and wheel, each in an empty environment, outside of the checkout.

CONTACTS_DISTRIBUTIONS names the folder that the session has made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest

if "CONTACTS_DISTRIBUTIONS" not in os.environ:
    pytest.skip("make dist builds and installs what is tested here", allow_module_level=True)

FOLDER = Path(os.environ["CONTACTS_DISTRIBUTIONS"])
(WHEEL,), (SDIST,), (REBUILT,) = (
    FOLDER.glob("*.whl"), FOLDER.glob("*.tar.gz"), (FOLDER / "rebuilt").glob("*.whl"),
)  # fmt: skip
VENVS = {"wheel": FOLDER / "venv-wheel", "sdist": FOLDER / "venv-sdist"}


@pytest.fixture(params=VENVS, scope="module")
def venv(request: pytest.FixtureRequest) -> Path:
    return VENVS[request.param]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def run(venv: Path, home: Path, *command: str, **more: str) -> str:
    """Run a program of an environment as somebody does who has nothing else, and return what it prints."""
    env = {"PATH": f"{venv}/bin:/usr/bin:/bin", "HOME": str(home), "AIRFLOW_HOME": str(home), **more}
    done = subprocess.run(command, cwd=home, env=env, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(opened.read(name))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_the_wheel_out_of_the_sdist_is_the_wheel_out_of_the_checkout() -> None:
    assert contents(REBUILT) == contents(WHEEL)


def test_both_say_the_same_of_themselves() -> None:
    with tarfile.open(SDIST) as opened:
        (info,) = (
            member for member in opened.getmembers() if member.name.count("/") == 1 and "PKG-INFO" in member.name
        )
        stream = opened.extractfile(info)
        assert stream
        assert BytesParser().parsebytes(stream.read()).items() == metadata_of(WHEEL).items()


def test_nothing_but_the_package_is_in_the_wheel() -> None:
    folders = {name.partition("/")[0] for name in contents(WHEEL)}
    assert folders == {"airflow_provider_contacts", f"{'-'.join(WHEEL.name.split('-')[:2])}.dist-info"}
    assert {"airflow_provider_contacts/py.typed", "airflow_provider_contacts/page/templates/runs.html"} <= set(
        contents(WHEEL)
    )


def test_it_is_imported_from_where_it_is_installed(venv: Path, home: Path) -> None:
    imports = "import airflow_provider_contacts.operators as one, airflow_provider_contacts.hooks; print(one.__file__)"
    assert run(venv, home, "python", "-c", imports).startswith(str(venv))


def test_airflow_lists_the_provider(venv: Path, home: Path) -> None:
    found = json.loads(run(venv, home, "airflow", "providers", "list", "--output", "json"))
    (ours,) = (one for one in found if one["package_name"] == "airflow-provider-contacts")
    assert ours["version"] == metadata_of(WHEEL)["Version"]


def test_airflow_loads_the_plugin(venv: Path, home: Path) -> None:
    found = json.loads(run(venv, home, "airflow", "plugins", "--output", "json"))
    assert "airflow_provider_contacts" in [one["name"] for one in found]


def test_the_command_line_knows_the_vendors(venv: Path, home: Path) -> None:
    text = run(venv, home, "airflow", "contacts", "vendors")
    assert [name for name in ("intermezzo", "nedzo", "dex", "apptoto", "talkdesk") if name not in text] == []


def test_the_simulator_lists_its_knobs(venv: Path, home: Path) -> None:
    command = ("python", "-m", "airflow_provider_contacts.simulator", "--list-knobs")
    assert "store_then_drop" in run(venv, home, *command)


DOCUMENTATION = """
from airflow.providers_manager import ProvidersManager
print("leads to", ProvidersManager().providers["airflow-provider-contacts"].data["documentation-url"])
"""


def test_without_an_address_airflow_has_none_of_the_documentation(venv: Path, home: Path) -> None:
    assert metadata_of(WHEEL)["Project-URL"] is None
    assert "leads to None\n" in run(venv, home, "python", "-c", DOCUMENTATION)


def test_once_filled_in_the_address_is_where_airflow_leads(home: Path, tmp_path: Path) -> None:
    with tarfile.open(SDIST) as opened:
        opened.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    project = unpacked / "pyproject.toml"
    text = project.read_text("utf-8")
    assert text.count('\nrepository = ""') == 1
    filled = text.replace('\nrepository = ""', '\nrepository = "https://git.example/acme/contacts"')
    project.write_text(filled, "utf-8")
    build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path))
    subprocess.run(build, cwd=unpacked, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    checked = (sys.executable, "-m", "twine", "check", "--strict", str(wheel))
    subprocess.run(checked, check=True, capture_output=True)
    subprocess.run((sys.executable, "-m", "zipfile", "--extract", str(wheel), str(tmp_path / "installed")), check=True)
    told = run(VENVS["wheel"], home, "python", "-c", DOCUMENTATION, PYTHONPATH=str(tmp_path / "installed"))
    assert "leads to https://git.example/acme/contacts/blob/HEAD/docs/index.md\n" in told
