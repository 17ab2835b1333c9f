"""What records are remembered under where a task names nothing: one text for one task, connection and destination."""

from __future__ import annotations


def default_sync_id(dag_id: str, task_id: str, contacts_conn_id: str, destination_object: str | None) -> str:
    """Return ``{dag_id}/{task_id}@{contacts_conn_id}[:{destination object}]``.

    No two of them are alike: ids of DAGs and tasks hold neither ``/`` nor ``@``, and a ``:`` in a connection id is
    percent-encoded, so that the first of each ends its part.
    """
    connection = contacts_conn_id.replace("%", "%25").replace(":", "%3A")
    return f"{dag_id}/{task_id}@{connection}" + (f":{destination_object}" if destination_object else "")
