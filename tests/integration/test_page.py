"""The page in Airflow's own API server, over an outcome table that pushes have filled. Rights: test_page_rights.py."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from tests.support.page_rows import A, B, fill

if TYPE_CHECKING:
    from starlette.testclient import TestClient

Ask = Callable[..., Any]

HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'self'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    file = tmp_path_factory.mktemp("page") / "outcomes.db"
    found = fill(f"sqlite:///{file}")
    settings = {
        "AIRFLOW_CONN_OUTCOMES": json.dumps({"conn_type": "sqlite", "host": str(file)}),
        "AIRFLOW__CONTACTS__OUTCOMES_CONN_ID": "outcomes",
        "AIRFLOW__API_AUTH__JWT_SECRET": "s" * 64,
    }
    with patch.dict(os.environ, settings):
        yield found


@pytest.fixture(scope="module")
def client(airflow_db: Path, numbers: dict[str, int]) -> Iterator[TestClient]:  # noqa: ARG001  # both are needed
    from airflow.api_fastapi.app import create_app
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session
    from starlette.testclient import TestClient

    with create_session() as session:
        session.merge(DagBundleModel(name="testing"))
        session.flush()
        for side in (A, B):
            made: Any = DagModel
            session.merge(made(dag_id=side.dag_id, bundle_name="testing", fileloc="dag.py", is_stale=False))
    with TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False) as asking:
        yield asking


@pytest.fixture
def ask(client: TestClient) -> Ask:
    """Return what asks for a path below the page's, by a role of Airflow's simple auth manager."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def asked(path: str, role: str | None = "ADMIN", method: str = "GET", **request: Any) -> Any:
        headers = request.pop("headers", {})
        if role is not None:
            token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role.lower(), role=role))
            headers |= {"Authorization": f"Bearer {token}"}
        return client.request(method, f"/contacts{path}", headers=headers, **request)

    return asked


@pytest.mark.parametrize(
    ("path", "status", "shown"),
    [
        ("/", 200, A.dag_id),
        ("/?dag_id=&since=&until=", 200, A.dag_id),
        (f"/dags/{A.dag_id}/runs/{{a}}", 200, A.marker),
        (f"/dags/{A.dag_id}/runs/{{a}}/rows.csv", 200, "digest"),
        ("/record", 200, "key"),
        ("/doubts", 200, A.sync_id),
        (f"/dags/{A.dag_id}/doubts?sync_id={A.sync_id}", 200, A.sync_id),
        ("/static/contacts.css", 200, ""),
        (f"/dags/{A.dag_id}/runs/{{b}}", 404, "belongs to another DAG"),
        (f"/dags/{A.dag_id}/runs/{{b}}/rows.csv", 404, "belongs to another DAG"),
        ("/dags/~/runs/{a}", 404, "belongs to another DAG"),
        ("/static/../app.py", 404, "nothing here"),
        ("/docs", 404, "nothing here"),
        ("/openapi.json", 404, "nothing here"),
        (f"/dags/{A.dag_id}/runs/x", 422, "cannot be understood"),
        (f"/dags/{A.dag_id}/runs/{2**63}", 422, "cannot be understood"),
        (f"/dags/{A.dag_id}/doubts", 422, "cannot be understood"),
        ("/?since=yesterday", 422, "cannot be understood"),
        ("/?status=%00", 422, "cannot be understood"),
    ],
)
def test_each_route_answers(ask: Ask, numbers: dict[str, int], path: str, status: int, shown: str) -> None:
    found = ask(path.format(a=numbers[A.dag_id], b=numbers[B.dag_id]))
    assert (found.status_code, shown in found.text) == (status, True), found.text
    assert {name: found.headers[name] for name in HEADERS} == HEADERS
