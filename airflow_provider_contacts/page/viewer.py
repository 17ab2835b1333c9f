"""The user of a request, the DAGs that this user may read, and the records that are shown in clear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from airflow import __version__
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, ReadableDagsFilterDep, requires_access_dag
from airflow.configuration import conf
from airflow.models.dag import DagModel
from fastapi import Depends, Request
from packaging.version import Version

from airflow_provider_contacts.ledgers.reports.shapes import Page, RecordRow, Scope
from airflow_provider_contacts.outcome import digest_of
from airflow_provider_contacts.page.airflow_data import write_look

DOWNLOADS = Version(__version__) >= Version("3.3.2")
"""Whether the frame of this Airflow allows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The user of a request, and the place that it comes from.

    :param in_frame: inside Airflow's UI, whose frame lets no link out of it.
    :param can_download: a frame of Airflow below 3.3.2 lets nothing be downloaded.
    :param base: path of the page, such as ``/contacts``.
    :param airflow: path of Airflow's UI, empty at the root of the host.
    """

    name: str
    in_frame: bool
    can_download: bool
    base: str
    airflow: str


def viewer_of(request: Request, name: str = "") -> Viewer:
    """Return who sends a request."""
    in_frame = request.headers.get("sec-fetch-dest") == "iframe"
    scope = request.scope
    return Viewer(
        name=name,
        in_frame=in_frame,
        can_download=DOWNLOADS or not in_frame,
        base=scope["root_path"],
        airflow=scope.get("app_root_path", ""),
    )


def readable(dags: ReadableDagsFilterDep, user: GetUserDep) -> Scope:
    """Return the rows of all DAGs that the user may read; none for a user who may read no XComs."""
    may = get_auth_manager().is_authorized_dag(method="GET", access_entity=DagAccessEntity.XCOM, user=user)
    return Scope(frozenset(dags.value or ()) if may else frozenset())


def of_one_dag(dag_id: str) -> Scope:
    """Return the rows of the DAG in the path, to which access was asked for. ``~`` is no DAG: it has no rows."""
    return Scope(frozenset({dag_id}))


Readable = Annotated[Scope, Depends(readable)]
OfOneDag = Annotated[Scope, Depends(of_one_dag)]
of_dag = [Depends(requires_access_dag("GET", DagAccessEntity.XCOM))]
"""Each route of one DAG asks for the right to read its XComs, where the summaries are."""


class Sight:
    """Shows records in clear where the user may see them; each such answer is written into the audit log first."""

    def __init__(self, user: GetUserDep) -> None:
        self._user = user
        self._is_on = conf.getboolean("contacts", "show_records", fallback=False)

    def is_clear(self, dag_id: str | None) -> bool:
        """Tell whether the user may see identifiers, texts and payloads of a DAG's records: who may edit its tasks."""
        if not self._is_on or dag_id is None:
            return False
        # As Airflow's own dependency asks.
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        return get_auth_manager().is_authorized_dag(
            method="PUT", access_entity=DagAccessEntity.TASK_INSTANCE, details=details, user=self._user
        )

    def shown(self, rows: Iterable[RecordRow]) -> tuple[RecordRow, ...]:
        """Return rows as the user may see them, and write down whose are shown in clear."""
        given = tuple(rows)
        clear = {dag_id: self.is_clear(dag_id) for dag_id in {row.dag_id for row in given}}
        for dag_id in (one for one, is_clear in clear.items() if is_clear):
            digests = [row.digest for row in given if row.dag_id == dag_id]
            self.write_down(dag_id, digests=digests)
        return tuple(row if clear[row.dag_id] else without_text(row) for row in given)

    def page(self, page: Page[RecordRow]) -> Page[RecordRow]:
        """Return a page of rows as :meth:`shown` shows them."""
        return Page(self.shown(page.items), page.after)

    def entries(self, dag_id: str, entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return outcomes that XCom holds as :meth:`shown` shows rows."""
        found = [{**one, "record": digest_of(one["record_identifier"])} for one in entries]
        if found and self.is_clear(dag_id):
            self.write_down(dag_id, digests=[one["record"] for one in found])
            return [{**one, "record": one["record_identifier"]} for one in found]
        return [{**one, "status_message": None} for one in found]

    def write_down(self, dag_id: str | None, **extra: object) -> None:
        """Write down a look at records in clear. If that fails, nothing is shown."""
        write_look(self._user, dag_id, extra)


Seeing = Annotated[Sight, Depends()]


def without_text(row: RecordRow) -> RecordRow:
    """Return a row without anything that names a person."""
    errors = tuple(replace(error, message=None) for error in row.errors)
    return replace(row, record_identifier=row.digest, status_message=None, errors=errors, record_payload=None)
