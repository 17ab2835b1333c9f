from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_gallery_has_every_example_dag_once() -> None:
    shown = re.findall(r"^\| \[(example_\w+\.py)\]\(\.\./example_dags/\1\) \|", text_of("examples"), re.MULTILINE)
    assert sorted(shown) == sorted(path.name for path in (ROOT / "example_dags").glob("*.py"))


def text_of(page: str) -> str:
    return (ROOT / "docs" / f"{page}.md").read_text("utf-8")
