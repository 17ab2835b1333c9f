"""The rows of one run, streamed into one object that a warehouse loads or a person opens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast
from urllib.parse import quote

from airflow_provider_contacts.errors import ContactsError
from airflow_provider_contacts.outcome import digest_of
from airflow_provider_contacts.task.export_formats import Form, written
from airflow_provider_contacts.task.object_storage import cause, path_at, through

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
    from airflow_provider_contacts.ledgers.reports.shapes import RecordRow, RunRow

LOCAL = {"", "file", "local"}

LONGEST_PART = 200
"""Characters of an id in a path; a file's name may have 255, and has more than the id."""


class Exported(NamedTuple):
    """An object that is complete."""

    path: str
    num_rows: int


def folder_at(path: str, path_conn_id: str | None = None) -> ObjectStoragePath:
    """Return a folder of any storage that Airflow knows; raises ``ConfigError`` for another one."""
    return path_at(path, path_conn_id, "a folder such as /var/exports or s3://bucket/folder")


def location(path: ObjectStoragePath) -> str:
    """Return a path as other tools take it: without the connection that Airflow writes into it."""
    return str(path).replace(f"://{path.conn_id}@", "://", 1)


def export_run(reports: OutcomeReports, run: RunRow, folder: ObjectStoragePath, form: Form) -> Exported:
    """Write the rows that a run has in the table now."""
    from airflow_provider_contacts.ledgers.reports.shapes import EVERYTHING

    with closing(reports.each_row(EVERYTHING, run.sync_run_id)) as rows:
        # A task may have been given another sync_id between two of its tries.
        own = (row for row in rows if row.sync_id == run.sync_id)
        return export_rows(own, folder, form, sync_id=run.sync_id, sync_run_id=run.sync_run_id)


def export_rows(
    rows: Iterable[RecordRow], folder: ObjectStoragePath, form: Form, *, sync_id: str, sync_run_id: str
) -> Exported:
    """Write the rows of a run to ``{folder}/{sync_id}/{sync_run_id}.{suffix}``; it is there when it is whole, or not.

    A repeat replaces it. What is killed may leave an object whose name begins with ``_``, which query engines skip.

    :raises ContactsError: if the storage takes no object.
    """
    at_sync = folder / named(sync_id)
    final = at_sync / f"{named(sync_run_id)}.{form.file_format}"
    unfinished = at_sync / f"_{final.name}.{secrets.token_hex(4)}"
    store = folder.fs
    # Where it cannot be made, opening the object says why; an object store needs none, nor the right to list.
    with storing(folder), suppress(OSError):
        # Elsewhere the parents would be a bucket or a container, made for a name that is misspelt.
        store.mkdir(at_sync.path, create_parents=folder.protocol in LOCAL)
    try:
        with opened(folder, unfinished.path) as file:
            num_rows = written(rows, file, form)
        with storing(folder):
            store.mv(unfinished.path, final.path)
    except BaseException:
        with suppress(Exception):
            store.rm_file(unfinished.path)
        raise
    return Exported(location(final), num_rows)


def named(text: str) -> str:
    """Return a text as one part of a path; a long one is cut, and ends with its digest."""
    part = quote(text, safe="")
    if len(part) > LONGEST_PART:
        part = f"{part[:LONGEST_PART]}~{digest_of(text)}"
    # Query engines skip what begins so.
    return f"%{ord(part[0]):X}{part[1:]}" if part[0] in "._" else part


@contextmanager
def storing(folder: ObjectStoragePath) -> Iterator[None]:
    """Turn what a storage raises into one error that names folder, connection and cause.

    :raises ContactsError: for it; another try may help.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001  # each storage's library has exceptions of its own
        raise ContactsError(
            f"path: {location(folder)!r} takes no object{through(folder.conn_id)} ({cause(error)}): look at its name, "
            "at the connection, and at rights and space"
        ) from None


@contextmanager
def opened(folder: ObjectStoragePath, path: str) -> Iterator[BinaryIO]:
    """Open an object to write; one whose writer fails is closed all the same."""
    # Not by the path itself, which notes every single write as lineage.
    with storing(folder):
        file = folder.fs.open(path, "wb")
    try:
        yield cast("BinaryIO", StoredFile(file, folder))
    except BaseException:
        with suppress(Exception):
            file.close()
        raise
    with storing(folder):
        file.close()


class StoredFile:
    """A file whose writes raise the error of :func:`storing`."""

    def __init__(self, file: BinaryIO, folder: ObjectStoragePath) -> None:
        self._file = file
        self._folder = folder

    def write(self, data: Any) -> int:
        """Write, perhaps over a network."""
        with storing(self._folder):
            return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        """Return everything else of the file itself."""
        return getattr(self._file, name)
