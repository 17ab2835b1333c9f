from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADDED = {"PKG-INFO"}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tarfile.TarFile]:
    builders = pytest.importorskip("hatchling.builders.sdist", reason="the build backend is not installed here")
    (path,) = builders.SdistBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("sdist")))
    with tarfile.open(path) as opened:
        yield opened


def names_in(sdist: tarfile.TarFile) -> set[str]:
    return {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}


def known_to_git(*options: str) -> set[str]:
    """Return the files of the checkout that git tracks, or that the options ask for."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", *options]
    try:
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout: what belongs to it is not known")
    return {name for name in told.split("\0") if name and (ROOT / name).exists()}


def test_it_holds_every_tracked_file_and_nothing_else(sdist: tarfile.TarFile) -> None:
    names = names_in(sdist) - ADDED
    assert known_to_git() - names == set()
    # What is new and not yet committed belongs to it; what is ignored, such as an environment, does not.
    assert names - known_to_git("--cached", "--others", "--exclude-standard") == set()


def test_it_holds_what_the_targets_and_tests_start_from(sdist: tarfile.TarFile) -> None:
    needed = {"Makefile", "noxfile.py", "constraints.txt", "constraints-lower.txt", ".ci/wheel.txt", ".ci/mariadb"}
    assert needed | {"tests/conftest.py", "demo/run.py", "bench/run.py", "docs/simulator.md"} <= names_in(sdist)


def test_its_scripts_can_be_started(sdist: tarfile.TarFile) -> None:
    scripts = [member for member in sdist.getmembers() if "/.ci/" in member.name and "." not in Path(member.name).name]
    assert len(scripts) > 2
    assert [member.name for member in scripts if not member.mode & 0o100] == []
