"""CSV and NDJSON, read line by line: of each line that is refused its number is told, never its text."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO

from airflow_provider_contacts.records.columns import constant
from airflow_provider_contacts.sources.file_rows import BrokenFileError, FileForm

LONGEST_LINE = 2**20
"""Characters of a line: more would be a file without line breaks. A cell of CSV has 131,072 at most, Python's limit."""

BYTE_ORDER_MARK = "\ufeff"

# Stands for bytes that the encoding does not know: an exception would come with the block, before the lines in it.
WRONG_BYTES = "\udcff"
MARK_WRONG_BYTES = "airflow_provider_contacts.wrong_bytes"
codecs.register_error(MARK_WRONG_BYTES, lambda error: (WRONG_BYTES, error.end))  # type: ignore[attr-defined]  # of decoding

# In the name of an only column.
DELIMITERS = ";\t|,"

# In a row that is none of names.
DATA = re.compile(r"[^@]*@.*|[+-]?[\d\s().,/:-]+|[\[{].*", re.DOTALL)


class Lines:
    """The lines of a text, each with its end; ``number`` is that of the last one read."""

    def __init__(self, file: BinaryIO, encoding: str, newline: str) -> None:
        self.number = 0
        self._encoding = encoding
        self._text = io.TextIOWrapper(file, encoding, errors=MARK_WRONG_BYTES, newline=newline)
        # What this encoding makes of the mark of another one.
        self._wrong_mark = codecs.BOM_UTF8.decode(encoding, "ignore").removeprefix(BYTE_ORDER_MARK)

    def __iter__(self) -> Iterator[str]:
        """Yield the lines that are left."""
        lines = iter(partial(self._text.readline, LONGEST_LINE + 1), "")
        for self.number, line in enumerate(lines, self.number + 1):  # noqa: B020  # evaluated once
            if len(line) > LONGEST_LINE:
                raise self.broken(f"is longer than {LONGEST_LINE} characters")
            if "\0" in line:
                raise self.broken(f"holds a NUL: is it plain text, and its encoding {self._encoding}?")
            if not line.isascii() and WRONG_BYTES in line:
                raise self.broken(f"holds bytes that are no {self._encoding}: set encoding, such as cp1252 of Excel")
            if self.number == 1 and self._wrong_mark and line.startswith(self._wrong_mark):
                raise self.broken(
                    f"begins with the byte order mark of utf-8, which {self._encoding} is not: set encoding"
                )
            yield line if self.number > 1 else line.removeprefix(BYTE_ORDER_MARK)

    @property
    def place(self) -> str:
        """The last line that was read."""
        return f"line {self.number}"

    def broken(self, reason: str) -> BrokenFileError:
        """Return the error of the last line."""
        return BrokenFileError(self.place, reason)


class CsvRows:
    """The rows of a CSV file, every value a text, under the names of its first row; blank lines are none."""

    def __init__(self, file: BinaryIO, form: FileForm) -> None:
        self._lines = Lines(file, form.encoding, newline="")
        self._cells = self._read(form)
        self.columns = self._header(next(self._cells, []))

    @property
    def place(self) -> str:
        """The last line that was read."""
        return self._lines.place

    def __iter__(self) -> Iterator[dict[str, str]]:
        """Yield the rows."""
        columns, width = self.columns, len(self.columns)
        for cells in self._cells:
            if len(cells) == width:
                yield dict(zip(columns, cells, strict=True))
            elif cells:
                raise self._lines.broken(f"ends a row of {len(cells)} cells, the first row has {width}")

    def _read(self, form: FileForm) -> Iterator[list[str]]:
        start = 1
        try:
            for cells in csv.reader(self._lines, delimiter=form.delimiter, quotechar=form.quotechar, strict=True):
                yield cells
                start = self._lines.number + 1
        except csv.Error as error:  # whose texts are about the dialect
            row = f" (from line {start})" if start < self._lines.number else ""
            raise self._lines.broken(f"is no CSV with this delimiter and quotechar: {error}{row}") from None

    def _header(self, names: Sequence[str]) -> tuple[str, ...]:
        """Check the first row; what is told of it is a number, since it may be a person's row."""
        if not names:
            raise BrokenFileError("line 1", "is empty: the first row of CSV holds the names of the columns")
        if names[0].lower().startswith("sep="):
            raise BrokenFileError("line 1", "tells a spreadsheet the delimiter: leave it out, and set delimiter")
        if len(names) == 1 and (within := [one for one in DELIMITERS if one in names[0]]):
            raise BrokenFileError("line 1", f"is one name with {within[0]!r} in it: set delimiter")
        first: dict[str, int] = {}
        for number, name in enumerate(names, 1):
            if not name.strip():
                raise BrokenFileError(f"column {number}", "has no name in the first row: name it, or leave it out")
            if first.setdefault(name, number) != number:
                raise BrokenFileError(f"column {number}", f"has the same name as column {first[name]}")
            if DATA.fullmatch(name):
                raise BrokenFileError(f"column {number}", "is named by a value: the first row of CSV holds names")
        return tuple(names)


class NdjsonRows:
    """The objects of a file of one JSON object a line; blank lines are none."""

    columns = None

    def __init__(self, file: BinaryIO, form: FileForm) -> None:
        self._lines = Lines(file, form.encoding, newline="\n")

    @property
    def place(self) -> str:
        """The last line that was read."""
        return self._lines.place

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the objects."""
        for line in self._lines:
            if line.isspace():
                continue
            try:
                row = DECODER.decode(line)
            except json.JSONDecodeError as error:
                raise self._lines.broken(f"is no JSON (at character {error.colno})") from None
            except (ValueError, RecursionError):
                raise self._lines.broken("is no object with different names and values that can be read") from None
            if type(row) is not dict:
                raise self._lines.broken("is JSON, but no object: NDJSON has one object a line")
            yield row


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuse two members of one name."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("two members of one name")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=distinct, parse_constant=constant)
