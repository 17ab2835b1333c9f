"""The fenced blocks of the documents: where they stand, and how each is to be run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.pages import name_of

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[^`]*)$")
COMMENT = re.compile(r"<!-- run: (.*) -->")
FILE = re.compile(r"# (\S+\.py)$")
WAYS = ("fails", "aside", "postgres", "mysql")


class WrongBlockError(Exception):
    """A block that cannot be run as it is written."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    line: int  # of its fence
    language: str
    text: str
    way: str = ""  # what the comment above says: one of WAYS, or "no"
    reason: str = ""  # of a "no"

    def __str__(self) -> str:
        """Name it as an editor opens it."""
        return f"{self.page}:{self.line} ({self.language})"

    @property
    def file(self) -> str:
        """The file that its first line names, if any."""
        found = FILE.match(self.text.partition("\n")[0])
        return found[1] if found else ""


def blocks_in(page: Path) -> list[Block]:
    return blocks_of(name_of(page), page.read_text("utf-8"))


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the blocks of a page in order; Sphinx's directives (``{toctree}``) are none."""
    return [block for block in fenced(page, text.splitlines()) if not block.language.startswith("{")]


def fenced(page: str, lines: list[str]) -> Iterator[Block]:
    number, above = 0, ""
    while number < len(lines):
        fence = FENCE.match(lines[number])
        number += 1
        if fence is None:
            above = lines[number - 1].strip()
            continue
        start, indent = number, len(fence["indent"])
        while number < len(lines) and lines[number].strip() != fence["ticks"]:
            number += 1
        if number == len(lines):
            raise WrongBlockError(f"{page}:{start}: the block has no end")
        text = "".join(f"{line[indent:]}\n" for line in lines[start:number])
        yield Block(page, start, fence["language"].strip(), text, *way_of(f"{page}:{start}", above))
        number, above = number + 1, ""


def way_of(where: str, above: str) -> tuple[str, str]:
    """Return the way and the reason that the line above a fence gives."""
    if "<!-- run:" not in above:
        return "", ""
    comment = COMMENT.fullmatch(above)
    way, _, reason = (comment[1] if comment else "").partition(",")
    if way == "no" and len(reason.split()) > 1:
        return way, reason.strip()
    if way in WAYS and not reason:
        return way, ""
    raise WrongBlockError(f"{where}: {above!r} is none of run: {', '.join(WAYS)}, or no with a comma and a reason")


def kind_of(block: Block) -> str:
    """Tell what a Python block is: ``dag``, ``tasks`` that a DAG is put around, ``test`` or ``script``."""
    if Path(block.file).name.startswith("test_"):
        return "test"
    try:
        tree = ast.parse(block.text)
    except SyntaxError:
        return "script"  # which says so
    called = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    decorators = {ast.unparse(one).partition("(")[0] for function in functions for one in function.decorator_list}
    if "DAG" in called or "dag" in decorators:
        return "dag"
    has_tasks = any(name.endswith(("Operator", "Sensor")) for name in called)
    return "tasks" if has_tasks or any(name.partition(".")[0] == "task" for name in decorators) else "script"
