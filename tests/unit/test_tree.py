from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("airflow_provider_contacts", "example_dags", "tests", "demo", "bench", "docs", ".ci")
TEXTS = {".cfg", ".csv", ".ini", ".json", ".md", ".py", ".sh", ".sql", ".toml", ".txt", ".typed", ".yaml", ".yml", ""}
SHAPELESS = {"util", "utils", "common", "helper", "helpers", "misc"}
MAX_LINES = 300
# Longer than MAX_LINES, and why it is one file all the same.
LONG = {
    "airflow_provider_contacts/transport/connection.py": "one table of settings and its parsers",
    "airflow_provider_contacts/engine/push.py": "the one loop; its order is the guarantee, so it is read in one go",
    "airflow_provider_contacts/reconcile/reading.py": "one reading from its questions to what it proves",
    "airflow_provider_contacts/vendor_kit/vendor.py": "the vocabulary: whoever writes a vendor reads it in one go",
    "airflow_provider_contacts/vendors/dex.py": "a vendor is one file: facts with sources, contract, readers",
    "airflow_provider_contacts/vendors/dex_reads.py": "three ways to look a contact up, each with what it proves",
    "airflow_provider_contacts/vendors/intermezzo.py": "likewise",
    "airflow_provider_contacts/vendors/talkdesk.py": "likewise",
}


def files() -> Iterator[Path]:
    """Yield the files of the project itself: nothing generated, no virtual environment."""
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXTS and path.name != ".git")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in TEXTS and "__pycache__" not in path.parts:
                yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


FILES = sorted(files())
MODULES = [path for path in FILES if path.suffix == ".py"]
# A test's name says what it shows, and a table of cases is as long as it is.
PRODUCT = [path for path in MODULES if path.relative_to(ROOT).parts[0] != "tests"]

# Written in pieces, so that this file holds none of them.
UNFINISHED = re.compile("|".join([r"\bTO" + "DO", r"\bFIX" + "ME", r"\bXX" + r"X\b"]))
HOME = re.compile(r"(?<![\w.$}~/-])/(?:" + "|".join(["ro" + "ot", "ho" + "me", "Us" + "ers"]) + r")/\w")
REGISTRY = re.compile(
    r"(?:\b|\.)(?:" + "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(?:org|com)"]) + r")\b",
    re.IGNORECASE,
)


def test_the_tree_is_seen() -> None:
    names = {name_of(path) for path in FILES}
    assert {"Makefile", "pyproject.toml", "airflow_provider_contacts/vendor_kit/vendor.py", ".ci/run"} <= names


def test_a_name_says_what_is_inside() -> None:
    assert [name for name in map(name_of, FILES) if SHAPELESS & set(re.split(r"[/.]", name.lower()))] == []


def test_annotations_are_not_evaluated() -> None:
    assert [name_of(path) for path in MODULES if not leaves_annotations_alone(ast.parse(path.read_text("utf-8")))] == []


def leaves_annotations_alone(tree: ast.Module) -> bool:
    body = tree.body[1:] if ast.get_docstring(tree) else tree.body
    if not body:
        return True
    first = body[0]
    return isinstance(first, ast.ImportFrom) and first.module == "__future__" and first.names[0].name == "annotations"


def test_a_module_says_what_it_is() -> None:
    assert [name_of(path) for path in PRODUCT if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []


def test_a_module_is_short_or_has_a_reason() -> None:
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in PRODUCT}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES and name not in LONG} == {}
    assert [name for name in LONG if lengths.get(name, 0) <= MAX_LINES] == [], "no reason is needed any more"


def test_nothing_is_left_for_later() -> None:
    assert [name_of(path) for path in FILES if UNFINISHED.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("pattern", [HOME, REGISTRY], ids=["a home", "a registry"])
def test_no_place_of_one_machine_is_named(pattern: re.Pattern[str]) -> None:
    assert [name_of(path) for path in FILES if pattern.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UNFINISHED, "# TO" + "DO later"),
        (UNFINISHED, "FIX" + "ME"),
        (HOME, "in '/ro" + "ot/x'"),
        (HOME, "cd /ho" + "me/someone"),
        (REGISTRY, "https://py" + "pi.org/simple"),
        (REGISTRY, "files.python" + "hosted.org"),
    ],
)
def test_the_patterns_find_what_they_look_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
