"""Paths of any storage that Airflow knows, and the files that a path names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.errors import ConfigError, ContactsError
from airflow_provider_contacts.sources import RowSource
from airflow_provider_contacts.sources.file_rows import FileForm
from airflow_provider_contacts.sources.files import rows_of_files
from airflow_provider_contacts.task.connections import connection
from airflow_provider_contacts.task.parameters import parse_needed

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

LONGEST_CAUSE = 500
"""Characters of what a storage says that an error repeats."""


def path_at(path: str, path_conn_id: str | None, example: str) -> ObjectStoragePath:
    """Return a path of any storage that Airflow knows; raises ``ConfigError`` for another one.

    :param example: what the path is, and two of such.
    """
    from airflow.sdk import ObjectStoragePath

    path = parse_needed(path, "path")
    try:
        found = ObjectStoragePath(path, conn_id=path_conn_id)
        if found.conn_id:
            connection(found.conn_id, "path_conn_id")
        found.fs  # noqa: B018  # is made here, or fails here
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"path: no storage serves {path!r} ({error}): give {example}, and install the provider package of the "
            "storage"
        ) from None
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001  # each storage's library has exceptions of its own
        raise ContactsError(
            f"path: the storage of {path!r}{through(path_conn_id)} is not ready: {cause(error)}"
        ) from None
    return found


def through(conn_id: str | None) -> str:
    """Return what names the connection of a path, if it has one."""
    return f" through connection {conn_id!r}" if conn_id else ""


def cause(error: Exception) -> str:
    """Return what a storage says."""
    told = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return " ".join(told.split())[:LONGEST_CAUSE]


def files_at(parsed: Mapping[str, Any], stopping: Callable[[], bool]) -> RowSource:
    """Open the files of an operator's parsed parameters."""
    example = "a file or a pattern such as /var/imports/*.csv or s3://bucket/people.parquet"
    found = path_at(parsed["path"], parsed["path_conn_id"], example)
    return rows_of_files(
        found.fs,
        found.path,
        FileForm(**{one.name: parsed[one.name] for one in fields(FileForm)}),
        origin=f"path {parsed['path']!r}{through(found.conn_id)}",
        stopping=stopping,
    )
