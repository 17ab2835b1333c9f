"""What a command prints, in four formats. Texts of vendors and people are shown, and never drive the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""A line of a table: built-in types that JSON knows."""


def write(output: str, found: Sequence[Row] | Mapping[str, Row | Sequence[Row] | str], *, blocks: bool = False) -> None:
    """Print rows, or parts under titles: one row, rows, or a text.

    :param output: ``table``, ``json``, ``yaml`` or ``plain``.
    :param blocks: as a table, a block for each row rather than a line.
    """
    if output == "json":
        # ASCII alone: what a program reads is no place for a terminal's codes either.
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif output == "yaml":
        from airflow.utils import yaml

        sys.stdout.write(yaml.dump(found, sort_keys=False))
    elif isinstance(found, Mapping):
        for title, part in found.items():
            sys.stdout.write(f"{title.replace('_', ' ').upper()}\n")
            if isinstance(part, str):
                sys.stdout.writelines(f"{shown(line)}\n" for line in part.splitlines())
            else:
                write_rows(output, [part] if isinstance(part, Mapping) else part, blocks=isinstance(part, Mapping))
            sys.stdout.write("\n")
    else:
        write_rows(output, found, blocks=blocks)


def write_rows(output: str, rows: Sequence[Row], *, blocks: bool) -> None:
    """Print rows for people."""
    lines = [{name: shown(value) for name, value in row.items()} for row in rows]
    if not lines:
        sys.stdout.write("none\n")
    elif blocks and output == "table":
        for line in lines:
            width = max(map(len, line))
            told = "".join(f"{name:{width}}  {value}\n" for name, value in line.items() if value)
            sys.stdout.write(told if line is lines[-1] else f"{told}\n")
    elif output == "table":
        from airflow.cli.simple_table import AirflowConsole

        AirflowConsole(markup=False, emoji=False, highlight=False).print_as_table(lines)
    else:
        # Airflow's own would take texts for numbers: the identifier 1.10 would become 1.1.
        table = [list(lines[0]), *(list(line.values()) for line in lines)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row_cells in table:
            cells = (f"{cell:{width}}" for cell, width in zip(row_cells, widths, strict=True))
            sys.stdout.write("  ".join(cells).rstrip() + "\n")


def shown(value: Any) -> str:
    """Return a value as one line of printable characters; all others as Python would write them."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{shown(name)}: {shown(one)}" for name, one in value.items())
    text = str(value)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
