"""Parquet, read some rows at a time: a row group never stands in memory as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources.file_rows import BrokenFileError, FileForm
from airflow_provider_contacts.sources.row_source import place_of

ROWS_AT_ONCE = 1000
BYTES_AT_ONCE = 2**20
"""Of each column chunk; without it, chunks are read whole."""


class ParquetRows:
    """The rows of a Parquet file, with the types that it declares."""

    def __init__(self, file: BinaryIO, form: FileForm) -> None:  # noqa: ARG002  # as of every format
        try:
            from pyarrow.parquet import ParquetFile
        except ImportError:
            raise ConfigError("parquet needs pyarrow: install airflow-provider-contacts[parquet]") from None
        self._num_read = 0
        try:
            self._file = ParquetFile(file, pre_buffer=False, buffer_size=BYTES_AT_ONCE, page_checksum_verification=True)
        except ValueError as error:  # Arrow's own, about its footer
            raise BrokenFileError("the footer", f"is not that of Parquet: {place_of(error)}") from None
        self.columns = tuple(self._file.schema_arrow.names)
        if twice := [name for name, count in Counter(self.columns).items() if count > 1]:
            raise BrokenFileError("the schema", f"has more than one column named {twice[0]!r}")

    @property
    def place(self) -> str:
        """The last row that was read."""
        return f"row {self._num_read}"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        batches = self._file.iter_batches(ROWS_AT_ONCE, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                rows = [] if batch is None else batch.to_pylist()
            except OSError:
                raise  # the storage's
            except Exception as error:  # noqa: BLE001  # Arrow's texts may quote a value
                reason = f"cannot be read: {place_of(error)}"
                raise BrokenFileError(f"row {self._num_read + 1}, or one behind it,", reason) from None
            if batch is None:
                return
            self._num_read += len(rows)
            yield from rows
