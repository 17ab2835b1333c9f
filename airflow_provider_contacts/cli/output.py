"""Print rows in four formats. Text of vendors and people is shown, and never drives the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from shutil import get_terminal_size
from types import MappingProxyType
from typing import Any

Row = Mapping[str, Any]
"""A line of a table: built-in types that JSON knows."""

WIDTH = 200
"""Characters that a table may always have, as Airflow's own where there is no terminal."""


def write(
    output: str,
    found: Sequence[Row] | Mapping[str, Row | Sequence[Row] | str],
    *,
    columns: Mapping[str, Sequence[str]] = MappingProxyType({}),
    blocks: Collection[str] = (),
) -> None:
    """Print rows, or parts under titles: one row, rows, or a text.

    :param output: ``table``, ``json``, ``yaml`` or ``plain``.
    :param columns: by title, empty for mere rows: the columns that tables show, if not all.
    :param blocks: titles of the rows that tables show as blocks, not as lines.
    """
    if output == "json":
        # ASCII alone: what a program reads is no place for a terminal's codes either.
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif output == "yaml":
        from airflow.utils import yaml

        sys.stdout.write(yaml.dump(found, sort_keys=False))
    else:
        for title, part in found.items() if isinstance(found, Mapping) else [("", found)]:
            if title:
                sys.stdout.write(f"{title.replace('_', ' ').upper()}\n")
            if isinstance(part, str):
                sys.stdout.writelines(f"{shown(line)}\n" for line in part.splitlines())
            else:
                rows, chosen = [part] if isinstance(part, Mapping) else part, columns.get(title)
                lines = [{name: shown(row[name]) for name in chosen or row} for row in rows]
                write_lines(output, lines, blocks=rows is not part or title in blocks)
            if title:
                sys.stdout.write("\n")


def write_lines(output: str, lines: Sequence[Mapping[str, str]], *, blocks: bool) -> None:
    """Print rows of texts for people."""
    if not lines:
        sys.stdout.write("none\n" if output == "table" else "")
    elif blocks and output == "table":
        for line in lines:
            width = max(map(len, line))
            told = "".join(f"{name:{width}}  {value}\n" for name, value in line.items() if value)
            sys.stdout.write(told if line is lines[-1] else f"{told}\n")
    elif output == "table":
        from airflow.cli.simple_table import AirflowConsole

        # In a narrow terminal a line goes on below; folded into its cell, an id could not be copied.
        wide = max(WIDTH, get_terminal_size().columns)
        console = AirflowConsole(width=wide, markup=False, emoji=False, highlight=False)
        with console.capture() as printed:
            console.print_as_table([dict(line) for line in lines])
        sys.stdout.write(printed.get())
    else:
        # Airflow's own would take texts for numbers: the identifier 1.10 would become 1.1.
        table = [list(lines[0]), *(list(line.values()) for line in lines)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for cells in table:
            sys.stdout.write("  ".join(map(str.ljust, cells, widths)).rstrip() + "\n")


def jsonable(value: Any) -> Any:
    """Return a value of the reports as built-in types that JSON knows; times in UTC."""
    if is_dataclass(value):
        return {one.name: jsonable(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, Mapping):
        return {name: jsonable(one) for name, one in value.items()}
    return [jsonable(one) for one in value] if isinstance(value, list | tuple) else value


def shown(value: Any) -> str:
    """Return a value as one line of printable characters; all others as Python would write them."""
    if isinstance(value, list | tuple):
        return "; ".join(map(shown, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{shown(name)}: {shown(one)}" for name, one in value.items() if one is not None)
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
