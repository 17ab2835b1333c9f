"""What the documents and the examples show: a task that returns records does not let Airflow log them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.pages import PAGES, ROOT, blocks, name_of, text_of

SOURCES = sorted((ROOT / "example_dags").glob("*.py"))
RECORDS = re.compile(r"(list|Iterator|Sequence|Iterable)\[(dict|Mapping)\b|DataFrame")


def pieces() -> Iterator[tuple[str, str]]:
    """Yield every piece of Python that a reader may copy, with its file."""
    for path in SOURCES:
        yield path.name, path.read_text("utf-8")
    yield from ((path.name, block) for path in PAGES for block in blocks(name_of(path), "python"))


def returning_records(source: str) -> Iterator[ast.FunctionDef]:
    """Yield the tasks whose return value is records, as their annotation says; those of ours push them instead."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and any(
            "task" in text and "contacts" not in text for text in map(ast.unparse, node.decorator_list)
        ):
            assert node.returns is not None, f"{node.name} must say what it returns"
            if RECORDS.search(ast.unparse(node.returns)):
                yield node


def test_a_task_that_returns_records_does_not_log_them() -> None:
    found = [(name, task) for name, source in pieces() for task in returning_records(source)]
    assert len(found) >= 2
    wrong = [
        f"{name}: {task.name}"
        for name, task in found
        if not any("show_return_value_in_logs=False" in ast.unparse(one) for one in task.decorator_list)
    ]
    assert wrong == []


def test_the_documents_say_why() -> None:
    for name in ("docs/operators.md", "docs/own_tasks.md", "docs/security.md"):
        assert "show_return_value_in_logs=False" in text_of(name), name
