"""Messages that the documents quote are messages of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.support.pages import ROOT, text_of

LEAST = 60  # fixed characters of a message that a quotation can be told by


@cache
def messages() -> frozenset[str]:
    """Return every text of the package, with ``…`` for what is filled in."""
    files = (ROOT / "airflow_provider_contacts").rglob("*.py")
    return frozenset(text for file in files for text in texts_of(ast.parse(file.read_text("utf-8"))))


def texts_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [one.value if isinstance(one, ast.Constant) else "…" for one in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%s|%\.?\d*f", "…", node.value)


def holds(text: str, parts: list[str]) -> bool:
    """Tell whether a text has some parts, in their order."""
    return re.search(".*".join(map(re.escape, parts)), text, re.DOTALL) is not None


def fixed(text: str) -> list[str]:
    return [part for part in (one.strip() for one in text.split("…")) if re.search(r"\w", part)]


def test_every_heading_of_a_message_is_one() -> None:
    page = text_of("docs/faq.md").partition("\n## Messages: ")[2]
    headings = re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert len(headings) > 40
    assert [one for one in headings if not any(holds(text, fixed(one)) for text in messages())] == []


def test_every_quoted_message_is_one() -> None:
    found = re.findall(r"^> (.+(?:\n> .+)*)", text_of("docs/renaming.md"), re.MULTILINE)
    quotes = [re.sub(r"\n> ?", " ", one) for one in found]
    known = [parts for parts in map(fixed, messages()) if sum(map(len, parts)) >= LEAST]
    assert len(quotes) == 2
    assert [one for one in quotes if not any(holds(one, parts) for parts in known)] == []
