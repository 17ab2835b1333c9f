from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("airflow_provider_contacts", "example_dags", "tests", "demo", "bench", "campaigns", "docs", ".ci", ".github")
TEXTS = {".cfg", ".csv", ".ini", ".json", ".md", ".py", ".sh", ".sql", ".toml", ".txt", ".typed", ".yaml", ".yml", ""}
SHAPELESS = {"util", "utils", "common", "helper", "helpers", "misc"}
MAX_LINES, MEDIAN_LINES, MAX_BODY = 300, 150, 40


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


def room_of(path: Path) -> str:
    """Return the package of a module, the folder itself outside ours."""
    first, *rest = path.relative_to(ROOT).parts
    return first if first != "airflow_provider_contacts" else rest[0] if len(rest) > 1 else "top"


ROOMS = {room: [path for path in PRODUCT if room_of(path) == room] for room in sorted(set(map(room_of, PRODUCT)))}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_short_modules(room: str) -> None:
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in ROOMS[room]}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_most_modules_of_the_package_are_shorter_still() -> None:
    package = [path for path in PRODUCT if path.is_relative_to(ROOT / "airflow_provider_contacts")]
    assert median(len(path.read_text("utf-8").splitlines()) for path in package) <= MEDIAN_LINES


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_short_functions(room: str) -> None:
    assert [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in ROOMS[room]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > MAX_BODY
    ] == []


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how long a function is without its signature and its docstring: operators have forty parameters."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_nothing_is_left_for_later() -> None:
    assert [name_of(path) for path in FILES if UNFINISHED.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("pattern", [HOME, REGISTRY], ids=["a home", "a registry"])
def test_no_place_of_one_machine_is_named(pattern: re.Pattern[str]) -> None:
    assert [name_of(path) for path in FILES if pattern.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(UNFINISHED, "# TO" + "DO later"), (UNFINISHED, "FIX" + "ME"), (HOME, "in '/ro" + "ot/x'"),
     (HOME, "cd /ho" + "me/someone"), (REGISTRY, "https://py" + "pi.org/simple"),
     (REGISTRY, "files.python" + "hosted.org")],
)  # fmt: skip
def test_the_patterns_find_what_they_look_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
