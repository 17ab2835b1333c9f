"""The page in Airflow's own API server, over an outcome table that pushes have filled. Rights: test_page_rights.py."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from html import unescape
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psutil  # type: ignore[import-untyped]  # Airflow brings it, without types
import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.error_codes import FORGOTTEN
from airflow_provider_contacts.operators import PushContactsOperator
from airflow_provider_contacts.outcome import IN_DOUBT, Status, digest_of
from airflow_provider_contacts.plugin import views
from tests.airflow_harness import AIRFLOW
from tests.support.airflow_fixtures import HOME, RunDag, SetConnections
from tests.support.forget_histories import forget
from tests.support.ledger_conformance import Database, execution, make, outcome
from tests.support.page_rows import HEADERS, SHARED, A, B, fill, opened, routes
from tests.support.page_server import looks
from tests.support.pushing import DEX, World

if TYPE_CHECKING:
    from starlette.testclient import TestClient

Ask = Callable[..., Any]

METADATA = HOME / "airflow.db"
KEY = A.key("rejected")
TASK = f"/dags/{A.dag_id}/task?run_id={A.run_id}&task_id={A.marker}.push"
REGION = "11111111-1111-1111-1111-111111111111"
CLEAR = {"show_records": "True"}


@contextmanager
def configured(**options: str) -> Iterator[None]:
    """Set options of ``[contacts]``."""
    with patch.dict(os.environ, {f"AIRFLOW__CONTACTS__{name.upper()}": value for name, value in options.items()}):
        yield


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    file = tmp_path_factory.mktemp("page") / "outcomes.db"
    found = fill(f"sqlite:///{file}")
    settings = {
        "AIRFLOW_CONN_PAGE": json.dumps({"conn_type": "sqlite", "host": str(file)}),
        "AIRFLOW_CONN_NO_TABLE": json.dumps({"conn_type": "sqlite", "host": str(METADATA)}),
        "AIRFLOW_CONN_AWAY": json.dumps({"conn_type": "sqlite", "host": str(file.parent / "away.db")}),
        "AIRFLOW_CONN_NO_SQL": json.dumps({"conn_type": "http", "host": "example.com"}),
        "AIRFLOW__API_AUTH__JWT_SECRET": "s" * 64,
    }
    with patch.dict(os.environ, settings), configured(outcomes_conn_id="page"):
        yield found


@pytest.fixture(scope="module")
def client(airflow_db: Path, numbers: dict[str, int]) -> Iterator[TestClient]:  # noqa: ARG001  # both are needed
    from airflow.api_fastapi.app import create_app
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session
    from starlette.testclient import TestClient

    dag: Any = DagModel
    with create_session() as session:
        session.merge(DagBundleModel(name="testing"))
        session.flush()
        for dag_id in (A.dag_id, B.dag_id, "again", "removed", "untagged"):
            stale = dag_id == "removed"
            session.merge(dag(dag_id=dag_id, bundle_name="testing", fileloc="dag.py", is_stale=stale))
        session.flush()
        session.merge(DagTag(dag_id="untagged", name="contacts"))
        for dag_id, name in product(("again", "removed"), ("contacts", "replay")):
            session.merge(DagTag(dag_id=dag_id, name=name))
    with TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False) as asking:
        yield asking


@pytest.fixture
def ask(client: TestClient) -> Ask:
    """Return what asks for a path below the page's, by a role of Airflow's simple auth manager."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def asked(path: str, role: str | None = "admin", method: str = "GET", **request: Any) -> Any:
        headers = request.pop("headers", {})
        if role is not None:
            token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role, role=role.upper()))
            headers |= {"Authorization": f"Bearer {token}"}
        return client.request(method, f"/contacts{path}", headers=headers, **request)

    return asked


@pytest.mark.parametrize(
    ("path", "status", "shown"),
    [
        ("/", 200, A.dag_id),
        ("/?dag_id=&since=&until=", 200, A.dag_id),
        (f"/dags/{A.dag_id}/runs/{{a}}", 200, A.marker),
        (f"/dags/{A.dag_id}/runs/{{a}}?after=made-up", 200, A.marker),
        (f"/dags/{A.dag_id}/runs/{{a}}?status=rejected&error_code=", 200, A.marker),
        (f"/dags/{A.dag_id}/runs/{{a}}", 200, 'href="/dags/again"'),
        ("/doubts", 200, A.sync_id),
        (f"/dags/{A.dag_id}/runs/{{b}}", 404, "belongs to another DAG"),
        (f"/dags/{A.dag_id}/runs/{{b}}/rows.csv", 404, "belongs to another DAG"),
        ("/dags/~/runs/{a}", 404, "belongs to another DAG"),
        (f"/dags/{A.dag_id}/task?run_id=r&task_id=t", 404, "has left no outcomes"),
        (f"/dags/{A.dag_id}/runs/x", 422, "cannot be understood"),
        (f"/dags/{A.dag_id}/runs/{2**63}", 422, "cannot be understood"),
        (f"/dags/{A.dag_id}/doubts", 422, "cannot be understood"),
        (f"/dags/{A.dag_id}/doubts?sync_id=", 422, "cannot be understood"),
        ("/?since=yesterday", 422, "cannot be understood"),
        ("/?since=0001-01-01", 422, "cannot be understood"),  # a month before it is no date
        ("/?until=9999-12-31", 422, "cannot be understood"),
        ("/?status=%00", 422, "cannot be understood"),
        *((f"{TASK}&map_index={index}", 422, "cannot be understood") for index in ("", "{{OTHER}}", "-2", "9" * 30)),
        *(
            (f"{TASK}&region={region}", 422, "cannot be understood")
            for region in ("x", f"{REGION}/x", f"{REGION[:-1]}g/1")
        ),
        # The application describes itself to nobody.
        *((f"/{path}", 404, "There is nothing here") for path in ("docs", "redoc", "openapi.json")),
    ],
)
def test_each_route_answers(ask: Ask, numbers: dict[str, int], path: str, status: int, shown: str) -> None:
    found = ask(path.format(a=numbers[A.dag_id], b=numbers[B.dag_id]))
    assert (found.status_code, shown in found.text) == (status, True), found.text
    assert {name: found.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("index", ["", "&map_index=-1", "&map_index={MAP_INDEX}"])  # as Airflow's tab has it
def test_the_way_of_a_task_instance_leads_to_its_run(ask: Ask, numbers: dict[str, int], index: str) -> None:
    found = ask(f"{TASK}{index}")
    assert (found.status_code, found.headers["location"]) == (
        303,
        f"/contacts/dags/{A.dag_id}/runs/{numbers[A.dag_id]}",
    )


def test_a_forgotten_person_is_found_by_the_key_and_said_to_be(ask: Ask, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'outcomes.db'}")
    make(execution(database, A.dag_id), "ada@example.com", Status.REJECTED)
    forget(database, "ada@example.com")
    database.close()
    connection = json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "outcomes.db")})
    with patch.dict(os.environ, {"AIRFLOW_CONN_KEEPING": connection}), configured(outcomes_conn_id="keeping", **CLEAR):
        found = ask("/record", method="POST", data={"key": "ada@example.com"}).text
    assert "1 sync knows this record" in found
    assert FORGOTTEN.meaning in found
    assert "forgotten:" in found


def test_below_a_path_of_airflow_every_address_begins_with_it(client: TestClient, ask: Ask) -> None:
    with patch.object(client.app, "root_path", "/airflow"):
        found = ask("/").text
    assert 'href="/airflow/contacts/static/contacts.css"' in found
    assert 'href="/airflow/"' in found
    assert '="/contacts' not in found
    assert '="/static' not in found


@pytest.mark.parametrize(
    ("headers", "link"), [({}, 'href="/dags/again"'), ({"Sec-Fetch-Dest": "iframe"}, 'data-path="/dags/again"')]
)
def test_in_the_frame_a_link_out_of_it_is_an_address(
    ask: Ask, numbers: dict[str, int], headers: dict[str, str], link: str
) -> None:
    found = ask(f"/dags/{A.dag_id}/runs/{numbers[A.dag_id]}", headers=headers).text
    assert (link in found, "/dags/untagged" in found, "/dags/removed" in found) == (True, False, False)


@pytest.mark.parametrize(("block", "shows_rows"), [("more", True), ("live", False)])
def test_htmx_gets_the_block_that_it_puts_in_place(
    ask: Ask, numbers: dict[str, int], block: str, shows_rows: bool
) -> None:
    known = len(looks(METADATA))
    with configured(**CLEAR):
        found = ask(
            f"/dags/{A.dag_id}/runs/{numbers[A.dag_id]}", headers={"HX-Request": "true", "HX-Target": block}
        ).text
    assert "<html" not in found, found
    assert (A.canary in found) == shows_rows
    assert len(looks(METADATA)) - known == shows_rows, "a run that is asked for every five seconds shows nobody"


# What is shown in clear, to whom, and what is written down of it.


def seen(ask: Ask, role: str, path: str) -> tuple[bool, list[dict[str, Any]]]:
    """Return whether a page shows a person, and the looks that were written down."""
    known = len(looks(METADATA))
    found = ask(path, role)
    assert found.status_code == 200, found.text
    return "canary-a-person-rejected" in found.text, looks(METADATA)[known:]


def test_unless_the_deployment_shows_records_an_admin_sees_digests_alone(ask: Ask, numbers: dict[str, int]) -> None:
    known = looks(METADATA)
    for name, route in routes(numbers, A).items():
        found = ask(route.path.removeprefix("/contacts"), method=route.method, data=route.form)
        assert (name, A.canary in found.text) == (name, False)
        if name != "summary" and (route.rows or route.form):  # which no push has left in this Airflow
            digest = digest_of(A.key("rejected" if route.form else "unknown"))
            assert (name, found.status_code, digest in found.text) == (name, 200, True)
    assert looks(METADATA) == known


@pytest.fixture
def many(tmp_path: Path) -> Iterator[None]:
    """Let the page read a table in which the run has 2,000 rows."""
    with closing(Database(f"sqlite:///{tmp_path / 'many.db'}")) as database:
        ledger = opened(database, A, "push", A.sync_id)
        ledger.record_unsent([outcome(f"key {n}", Status.INVALID, row_index=n) for n in range(2_000)])
    connection = json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "many.db")})
    with patch.dict(os.environ, {"AIRFLOW_CONN_PAGE": connection}):
        yield


@pytest.mark.usefixtures("many")
def test_further_rows_follow_the_first(ask: Ask, numbers: dict[str, int]) -> None:
    path, seen = f"/dags/{A.dag_id}/runs/{numbers[A.dag_id]}?status=invalid", list[str]()
    for _ in range(3):
        found = ask(path).text
        seen += re.findall(r'name="key" value="(\w+)"', found)
        (further,) = re.findall(r'hx-get="/contacts([^"]+)" hx-target="#more"', found)
        path = unescape(further)
    assert "status=invalid" in path
    assert len(set(seen)) == len(seen) == 150


@pytest.mark.usefixtures("many")
def test_a_download_that_is_given_up_leaves_nothing_open(ask: Ask, numbers: dict[str, int]) -> None:
    from airflow_provider_contacts.page.app import app

    begun = asyncio.Event()
    token = ask("/record").request.headers["authorization"].encode()
    path = f"/dags/{A.dag_id}/runs/{numbers[A.dag_id]}/rows.csv"
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"authorization", token)], "query_string": b""}

    async def receive() -> dict[str, Any]:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            begun.set()
            await asyncio.sleep(60)

    asyncio.run(asyncio.wait_for(app()({**scope, "root_path": ""}, receive, send), 30))
    assert begun.is_set()
    assert [one.path for one in psutil.Process().open_files() if "many.db" in one.path] == []


# Where there is no outcome table.

LEVELS = {
    "not configured": ({"outcomes_conn_id": ""}, "does not know the outcome table yet"),
    "no such connection": ({"outcomes_conn_id": "nobody"}, "there is no connection &#39;nobody&#39;"),
    "no database of ours": ({"outcomes_conn_id": "no_sql"}, "the outcome table needs one of"),
    "not there": ({"outcomes_conn_id": "away"}, "outcomes_conn_id cannot be used now"),
    "no table": ({"outcomes_conn_id": "no_table"}, "cannot be used"),
    "another table": ({"outcomes_table": "others"}, "cannot be used"),
    "no name": ({"outcomes_table": "a b; c"}, "cannot be used"),
}


def test_an_option_that_is_none_is_told(ask: Ask, numbers: dict[str, int]) -> None:
    with configured(show_records="perhaps"):
        found = ask(f"/dags/{A.dag_id}/runs/{numbers[A.dag_id]}")
    assert (found.status_code, "show_records" in found.text) == (503, True), found.text


@pytest.mark.parametrize("level", LEVELS)
def test_without_the_table_each_page_says_what_to_do(ask: Ask, numbers: dict[str, int], level: str) -> None:
    options, words = LEVELS[level]
    with configured(**options):
        for path in ("/", "/doubts", f"/dags/{A.dag_id}/runs/{numbers[A.dag_id]}"):
            found = ask(path)
            assert (found.status_code, words in found.text) == (503, True), found.text
            assert ".db" not in found.text, "an address is for those who may read connections"
        assert ask("/record").status_code == 200, "a form needs no table"
        assert ask(TASK).status_code == 404, "nor is there a summary of this run"


def test_without_a_table_the_link_of_a_task_shows_its_summary(
    ask: Ask, world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    set_connections(world.api.connections)
    with DAG("page_xcom", schedule=None) as dag:
        PushContactsOperator(**DEX, records=[{"key": "canary-a-person-rejected", "first_name": 7}], max_rejected=1)
    run = run_dag(dag)
    path = f"/dags/page_xcom/task?run_id={run.run_id.replace('+', '%2B')}&task_id=push"
    for options, why in (({}, "has no run of this task"), ({"outcomes_conn_id": ""}, "names no connection")):
        with configured(**options):
            found = ask(path).text
            assert why in found
            assert (digest_of("canary-a-person-rejected") in found, "wrong_type" in found) == (True, True)
            assert seen(ask, "user", path) == (False, [])
            with configured(**CLEAR):
                assert seen(ask, "viewer", path) == (False, [])
                shows, (look,) = seen(ask, "user", path)
            assert (shows, look["dag_id"]) == (True, "page_xcom")


# One record.


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ({"key": KEY}, "rejected"),
        ({"key": digest_of(KEY)}, "rejected"),
        ({"key": "nobody@example.com"}, f"{A.marker}.push"),
        ({"key": ""}, "key"),
        ({}, "key"),
    ],
)
def test_a_record_is_found_by_its_key_or_digest(ask: Ask, form: dict[str, str], shown: str) -> None:
    found = ask("/record", method="POST", data=form)
    assert (found.status_code, shown in found.text) == (200, True)


def test_a_key_that_no_table_can_hold_is_refused(ask: Ask) -> None:
    assert ask("/record", method="POST", data={"key": "a\x00"}).status_code == 422


def test_what_is_offered_to_copy_is_what_is_shown_by_digests_alone(ask: Ask, numbers: dict[str, int]) -> None:
    def confs(path: str, **request: Any) -> list[Any]:
        found = ask(path, **request).text
        return [json.loads(unescape(one)) for one in re.findall(r"<textarea[^>]*>(.*?)</textarea>", found, re.DOTALL)]

    doubts = {digest_of(A.keys[status]): "" for status in IN_DOUBT}
    settle = {"sync_id": A.sync_id, "found": doubts, "missing": [], "settled_by": ""}
    replay = {"sync_id": A.sync_id, "statuses": ["failed", "rejected", "invalid"], "error_codes": []}
    run, key = f"/dags/{A.dag_id}/runs/{numbers[A.dag_id]}", A.keys[Status.UNKNOWN]
    with configured(**CLEAR):
        assert confs(run) == [settle, replay]
        assert confs(f"{run}?status=failed&error_code=a") == [{**replay, "statuses": ["failed"], "error_codes": ["a"]}]
        (offered,) = confs(f"/dags/{A.dag_id}/runs/{numbers['crm_a shared']}")
        assert offered == {"sync_id": SHARED, "statuses": ["rejected"], "error_codes": []}
        assert confs(f"{run}?status=succeeded") == confs("/record", method="POST", data={"key": KEY}) == []
        (offered,) = confs("/record", method="POST", data={"key": key})
        assert offered == {**settle, "found": {digest_of(key): ""}}


def test_below_airflow_3_4_no_task_of_others_gets_a_tab() -> None:
    assert [one["destination"] for one in views()] == ["nav", "task_instance"][: 1 + (AIRFLOW >= (3, 4))]
