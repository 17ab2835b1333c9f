"""The rows of files, one file after the other in the order of their paths, streamed from any storage."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, cast

from airflow_provider_contacts.errors import ConfigError, ContactsError, SourceError
from airflow_provider_contacts.sources.driver_errors import first_words
from airflow_provider_contacts.sources.file_paths import format_of_all, is_compressed, paths_of
from airflow_provider_contacts.sources.file_rows import BrokenFileError, FileForm, FileFormat, FileRows
from airflow_provider_contacts.sources.parquet_files import ParquetRows
from airflow_provider_contacts.sources.row_source import RowSource
from airflow_provider_contacts.sources.text_files import CsvRows, NdjsonRows
from airflow_provider_contacts.sources.worker import Worker

READERS: Mapping[FileFormat, Callable[[BinaryIO, FileForm], FileRows]] = {
    "csv": CsvRows,
    "ndjson": NdjsonRows,
    "parquet": ParquetRows,
}
ROWS_AT_ONCE = 2000
BYTES_AT_ONCE = 4 * 2**20
"""Of a storage that is asked over the network; some ask for 50 MiB by themselves."""


def rows_of_files(
    store: Any, path: str, form: FileForm, *, origin: str, stopping: Callable[[], bool] = lambda: False
) -> RowSource:
    """Return the rows of a file, or of all files that a pattern matches.

    :param store: fsspec's ``AbstractFileSystem``.
    :param path: in that storage; ``*``, ``**``, ``?`` and ``[]`` make it a pattern.
    :param origin: names the path in errors.
    :param stopping: asked while the storage works; once it is true, the reading is given up.
    :raises ConfigError: where no file matches, or the first one is not what its format says.
    :raises SourceError: where the storage refuses to list, or to open the first file.
    """
    if form.delimiter == form.quotechar:
        raise ConfigError(f"delimiter and quotechar must differ, both are {form.delimiter!r}")
    files = Files(store, origin, form, stopping)
    try:
        columns = files.begin(path)
    except BaseException:
        with suppress(Exception):
            files.close()
        raise
    return RowSource(columns, files.chunks(), files.close, untyped=files.file_format == "csv")


class Failure(NamedTuple):
    """Why a storage or a file was not read."""

    text: str
    is_broken: bool = False  # the file is not what its format says: to read it again would not help


class Files:
    """Some files being read, of one format; ``origin`` names them in errors."""

    file_format: FileFormat
    _rows: FileRows
    _left: Iterator[Mapping[str, Any]]

    def __init__(self, store: Any, origin: str, form: FileForm, stopping: Callable[[], bool]) -> None:
        self._store, self._origin, self._form, self._stopping = store, origin, form, stopping
        self._worker = Worker()
        self._paths: list[str] = []
        self._file: Any = None

    def begin(self, path: str) -> tuple[str, ...] | None:
        """List the files and open the first one; return its columns."""
        failure = self._call(partial(self._list, path), lambda: f"{self._origin} cannot be listed")
        if failure is None:
            failure = self._open_next()
        if failure is not None:
            raise (ConfigError if failure.is_broken else SourceError)(failure.text)
        return self._rows.columns

    def chunks(self) -> Iterator[list[Any]]:
        """Yield all rows, and raise :class:`SourceError` for what cannot be read, behind those before it."""
        columns = self._rows.columns
        while True:
            rows: list[Any] = []
            failure = self._call(
                partial(self._read, rows), lambda: f"{self._url} cannot be read behind {self._rows.place}"
            )
            if rows:
                yield rows
            elif failure is None:
                if not self._paths:
                    return
                failure = self._open_next() or self._difference(columns or ())
            if failure is not None:
                raise SourceError(f"{failure.text}; what was read before it is sent")

    def close(self) -> None:
        """Let go of the file."""
        self._worker.end(self._close_file)

    def _list(self, path: str) -> None:
        """Find the files, the last one first."""
        paths = paths_of(self._store, path, self._origin)
        self.file_format = format_of_all(self._store, paths, self._form.file_format, self._origin)
        self._paths = paths[::-1]

    def _open_next(self) -> Failure | None:
        self._path = self._paths.pop()
        return self._call(self._open, lambda: f"{self._url} cannot be opened")

    def _open(self) -> None:
        self._close_file()
        self._file = self._store.open(self._path, "rb", block_size=BYTES_AT_ONCE)
        plain = gzip.GzipFile(fileobj=self._file) if is_compressed(self._path) else self._file
        try:
            self._rows = READERS[self.file_format](cast("BinaryIO", plain), self._form)
        except BaseException:
            # Before what wraps it goes away with the exception: that would warn of a file left open.
            self._close_file()
            raise
        self._left = iter(self._rows)

    def _read(self, rows: list[Any]) -> None:
        # What was read before an error stays in the list.
        rows.extend(islice(self._left, ROWS_AT_ONCE))

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _difference(self, columns: tuple[str, ...]) -> Failure | None:
        """Return how the columns of a file differ from the first one's; a name may be a value where none is wanted."""
        own = self._rows.columns or ()
        if absent := [name for name in columns if name not in own]:
            return Failure(f"{self._url} lacks the columns {absent} that the files before it have")
        if strange := [number for number, name in enumerate(own, 1) if name not in columns]:
            return Failure(f"{self._url} has columns that the files before it lack, the first is column {strange[0]}")
        return None

    @property
    def _url(self) -> str:
        return str(self._store.unstrip_protocol(self._path))

    def _call(self, job: Callable[[], None], what: Callable[[], str]) -> Failure | None:
        """Do something in the reading thread; return what is told of what it raises."""
        try:
            self._worker.call(job, stopping=self._stopping, cancel=lambda: None)
        except ContactsError:
            raise
        except BrokenFileError as error:
            return Failure(f"{error.place} of {self._url} {error.reason}", is_broken=True)
        except gzip.BadGzipFile:  # whose text quotes the first bytes
            return Failure(f"{what()}: it is damaged, or not compressed by gzip", is_broken=True)
        except Exception as error:  # noqa: BLE001  # whatever a storage raises
            return Failure(f"{what()}: {first_words(error)}")
        return None
