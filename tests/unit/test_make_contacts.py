from __future__ import annotations

import importlib.util
import re
import sqlite3
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "demo" / "make_contacts.py"
ROWS = 2000
MAIL = re.compile(r"[a-z0-9.-]+@([a-z]+\.)?example\.(com|org|net)")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_contacts", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_contacts"] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def warehouse(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counter[str]]:
    path = tmp_path_factory.mktemp("demo") / "warehouse.db"
    return path, script.write(path, ROWS, 1)


def rows_of(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM contacts ORDER BY rowid")]


def test_the_same_seed_gives_the_same_table_and_another_one_another(
    script: ModuleType, warehouse: tuple[Path, Counter[str]], tmp_path: Path
) -> None:
    first, second = rows_of(warehouse[0]), tmp_path / "second.db"
    for rows in (50, 2, 1, 0):
        script.write(second, rows, 7)  # what was in the file before is replaced
        assert len(rows_of(second)) == rows
    script.write(second, ROWS, 1)
    assert rows_of(second) == first
    script.write(second, ROWS, 2)
    assert rows_of(second) != first
    assert len(first) == ROWS


def troubles_of(row: dict[str, Any]) -> set[str]:
    """Return what is wrong with a row by itself, judged without the script's help."""
    text = {name: value for name, value in row.items() if name != "priority"}
    blank = " \t\u00a0"
    signs = {unicodedata.category(sign) for value in text.values() if isinstance(value, str) for sign in value}
    found = {
        "id": not re.fullmatch(r"C\d{6,}", row["contact_id"] or ""),
        "email": not MAIL.fullmatch(row["email"] or ""),
        "phone": not re.fullmatch(r"\+[1-9]\d{6,14}", str(row["phone"])),
        "kind": not all(isinstance(value, str) for value in text.values() if value is not None),
        "missing": None in text.values() or "" in text.values(),
        "long": len(row["full_name"]) > 80,
        "space": any(isinstance(value, str) and value.strip(blank) != value for value in text.values()),
        "emoji": "So" in signs,
        "control": "Cc" in signs - {""} and not any("\t" in str(value) for value in text.values()),
        "priority": row["priority"] not in range(1, 6),
        "mononym": not row["last_name"],
    }
    return {name for name, is_so in found.items() if is_so}


EXPECTED = {
    "email missing (NULL)": {"email", "missing"},
    "email empty": {"email", "missing"},
    "email malformed": {"email"},
    "phone missing (NULL)": {"phone", "missing"},
    "phone empty": {"phone", "missing"},
    "phone malformed": {"phone"},
    "name over 80 characters": {"long"},
    "row repeated (same contact_id)": set[str](),
    "person under a second id": set[str](),
    "emoji": {"emoji"},
    "text empty": {"missing"},
    "text missing (NULL)": {"missing"},
    "number in a text column": {"kind"},
    "control character": {"control"},
    "priority out of range": {"priority"},
    "mononym (no last name)": {"missing", "mononym"},
    "contact_id missing (NULL)": {"id", "missing"},
}


def test_dirt_is_what_it_says_and_the_rest_is_clean(script: ModuleType, warehouse: tuple[Path, Counter[str]]) -> None:
    path, counted = warehouse
    kinds = [kind for kind, _ in script.contacts(ROWS, 1)]
    assert Counter(kind for kind in kinds if kind) == counted
    assert {kind: counted[kind] for kind in script.DIRT} == {
        kind: round(rate * ROWS) for kind, (rate, _) in script.DIRT.items()
    }
    assert min(counted.values()) >= 3
    for kind, row in zip(kinds, rows_of(path), strict=True):
        found = troubles_of(row)
        if kind == "stray white space":
            assert "space" in found
        elif kind == "number in a text column":
            assert found - {"phone"} == {"kind"}
        else:
            assert found == (EXPECTED[kind] if kind else set()), kind


def test_repeated_rows_and_persons(warehouse: tuple[Path, Counter[str]]) -> None:
    path, counted = warehouse
    rows = rows_of(path)
    ids = Counter(row["contact_id"] for row in rows if row["contact_id"])
    assert sum(ids.values()) - len(ids) == counted["row repeated (same contact_id)"]
    ids_of = defaultdict(set)
    for row in rows:
        if MAIL.fullmatch(row["email"] or ""):
            ids_of[row["email"]].add(row["contact_id"])
    assert sum(len(own) - 1 for own in ids_of.values()) == counted["person under a second id"]
    changed = [row for row in rows if ids[row["contact_id"]] > 1 and row["updated_at"] == "2026-01-01T00:00:00+00:00"]
    assert len(changed) == counted["row repeated (same contact_id)"] // 2


def test_the_command_prints_what_it_made(tmp_path: Path) -> None:
    out = tmp_path / "new" / "warehouse.db"
    command = [sys.executable, str(SCRIPT), "--rows", "1000", "--seed", "5", "--out", str(out)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{out}: 1000 contacts, 844 clean; the others have\n" in printed
    assert "      15  email missing (NULL)\n" in printed
    refused = subprocess.run([*command, "--rows", "-1"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
