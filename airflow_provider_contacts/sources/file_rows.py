"""What the reader of each file format is, and how it says what it cannot read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

FileFormat = Literal["csv", "ndjson", "parquet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileForm:
    """How the bytes of files become rows.

    :param file_format: ``None``: the suffix of each file tells it.
    :param encoding: of CSV and NDJSON.
    :param delimiter: between the cells of CSV.
    :param quotechar: around cells of CSV that hold delimiters or line breaks; doubled, it stands for itself.
    """

    file_format: FileFormat | None = None
    encoding: str = "utf-8"
    delimiter: str = ","
    quotechar: str = '"'


class FileRows(Protocol):
    """The rows of one opened file, each read once."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names in order; ``None`` where every row has its own."""
        ...

    @property
    def place(self) -> str:
        """What was read last, such as ``line 7``."""
        ...

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows; raise :class:`BrokenFileError` for one that cannot be read."""
        ...


class BrokenFileError(Exception):
    """What is at a place of a file cannot be read. Neither text quotes the file."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place, self.reason = place, reason
