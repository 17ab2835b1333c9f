"""Who sees what of the page: a real API server, real logins, two auth managers, and whatever a person may try."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_contacts.outcome import digest_of
from tests.support.ledger_conformance import Database
from tests.support.page_people import Manager, Person, people
from tests.support.page_rows import CONTESTED, ENDS, HEADERS, SHARED, A, B, Route, Side, fill, routes
from tests.support.page_server import Answer, PageServer, page_server

TABLES = [f"contact_outcomes_{name}" for name in ("syncs", "runs", "batches", "records")]
CANARY = re.compile("canary-[a-z-]*")
INVISIBLE = re.compile(r"[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]")
OF_NOBODY, INVALID = None, "garbage"


@dataclass(frozen=True, slots=True)
class World:
    """A server with an outcome table."""

    server: PageServer
    runs: dict[str, int]
    url: str

    @property
    def people(self) -> list[Person]:
        return people(self.server.manager)

    def get(self, who: str | None, route: Route) -> Answer:
        return self.server.ask(who, route.path, route.method, form=route.form)

    def rows(self) -> dict[str, Any]:
        with closing(Database(self.url)) as database:
            return {name: database.rows(name) for name in TABLES}


# The simple auth manager over SQLite, and FAB over PostgreSQL. One order of worlds for all, so that each is made once.
each_world = pytest.mark.parametrize("world", ["simple", "fab"], indirect=True)
once = pytest.mark.parametrize("world", ["simple"], indirect=True)  # what no auth manager and no database changes
each_side = pytest.mark.parametrize("side", [A, B], ids=["A", "B"])


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    manager: Manager = request.param
    folder = tmp_path_factory.mktemp("page")
    url = f"sqlite:///{folder / 'outcomes.db'}"
    connection: dict[str, Any] = {"conn_type": "sqlite", "host": str(folder / "outcomes.db")}
    if manager == "fab":
        postgres = request.getfixturevalue("postgres")
        url, connection = postgres.url(), {**postgres.connection(), "login": "page_reader"}
    runs = fill(url)
    if manager == "fab":
        with closing(Database(url)) as database:
            database.run(
                "CREATE ROLE page_reader LOGIN",
                *(f"GRANT SELECT ON {one} TO page_reader" for one in [*TABLES, "contact_outcomes"]),
            )
    with page_server(folder, manager, connection) as server:
        found = World(server, runs, url)
        before = found.rows()
        yield found
        assert found.rows() == before
        # Neither addresses nor errors: whatever the tests have asked for.
        assert CANARY.findall(server.said()) == []


def status_of(person: Person, route: Route) -> int:
    """Return what a route has for somebody who has logged in."""
    if route.dag_id is None or (route.dag_id in person.sees):
        return route.status
    return 403


@each_world
@each_side
def test_each_route_asks_for_its_right_and_each_answer_has_the_headers(world: World, side: Side) -> None:
    check_rights(world, side, cookie=False)


@once
def test_a_route_takes_the_login_of_a_browser(world: World) -> None:
    check_rights(world, B, cookie=True)


def check_rights(world: World, side: Side, *, cookie: bool) -> None:
    names = [OF_NOBODY, INVALID, *(one.name for one in world.people)]
    answers = {
        (who, name): world.server.ask(who, route.path, route.method, form=route.form, cookie=cookie)
        for name, route in routes(world.runs, side).items()
        for who in names
    }
    # Airflow takes a cookie that is no token away, and goes on without.
    no_entry = {OF_NOBODY: 401, INVALID: answers[INVALID, "runs"].status}
    assert no_entry[INVALID] in {401, 403}
    for name, route in routes(world.runs, side).items():
        wanted = {one.name: status_of(one, route) for one in world.people} | no_entry
        assert (name, {who: answers[who, name].status for who in names}) == (name, wanted)
    assert [cell for cell, answer in answers.items() if not has_headers(answer)] == []


def has_headers(answer: Answer) -> bool:
    """Tell whether an answer has the headers of every answer of the page."""
    return HEADERS.items() <= answer.headers.items()


def foreign(answer: Answer, side: Side, *asked: str) -> set[str]:
    """Return what an answer says of a side's rows, beside what was asked for, which may be repeated."""
    text = "\n".join([answer.text, *answer.headers.values()])
    for word in asked:
        text = text.replace(word, "").replace(quote(word, safe=""), "")
    words = {side.dag_id, side.canary, side.marker, CONTESTED, digest_of(CONTESTED), *side.digests}
    return {word for word in words if word in text}


def games(runs: dict[str, int]) -> dict[str, Route]:
    """Return ways to lead A's rights to B's rows."""
    a, b = "/contacts/dags/crm_a", runs[B.dag_id]
    sync, instance = quote(B.sync_id, safe=""), f"run_id={B.run_id}&task_id={B.marker}.push"
    paths = {
        "run of B": f"{a}/runs/{b}",
        "rows of B": f"{a}/runs/{b}/rows.csv",
        "run of B that shares a sync": f"{a}/runs/{runs['crm_b shared']}",
        "own run that shares a sync": f"{a}/runs/{runs['crm_a shared']}",
        "own rows that share a sync": f"{a}/runs/{runs['crm_a shared']}/rows.csv",
        "doubts of B": f"{a}/doubts?sync_id={sync}",
        "doubts of both": f"{a}/doubts?sync_id={SHARED}",
        "doubts of two": f"{a}/doubts?sync_id={SHARED}&sync_id={sync}",
        "task of B": f"{a}/task?{instance}",
        "summary of B": f"{a}/task?run_id={B.run_id}&task_id={B.marker}.untold",
        "all DAGs' summary": f"/contacts/dags/~/task?run_id={B.run_id}&task_id={B.marker}.untold",
        "all DAGs": f"/contacts/dags/~/runs/{b}",
        "all DAGs' rows": f"/contacts/dags/~/runs/{b}/rows.csv",
        "all DAGs' task": f"/contacts/dags/~/task?{instance}",
        "all DAGs' doubts": f"/contacts/dags/~/doubts?sync_id={sync}",
        "any": f"/contacts/dags/%25/runs/{b}",
        "none": f"/contacts/dags//runs/{b}",
        "a DAG in the query": f"{a}/runs/{b}?dag_id={B.dag_id}",
        "two DAGs in the query": f"/contacts/?dag_id={A.dag_id}&dag_id={B.dag_id}",
        "B in the query": f"/contacts/?dag_id={B.dag_id}",
        "all in the query": "/contacts/?dag_id=~",
        "B behind A": f"{a}%2F..%2Fcrm_b/runs/{b}",
        "B over A": f"{a}/../crm_b/runs/{b}",
        "B over A, encoded": f"{a}/%2e%2e/crm_b/runs/{b}",
        "B over A, twice encoded": f"{a}/%252e%252e/crm_b/runs/{b}",
        "an encoded number": f"{a}/runs/{runs[A.dag_id]}%2F..%2F{b}",
        "another case": f"/contacts/DAGS/crm_b/runs/{b}",
        "another case of A": f"/contacts/dags/CRM_A/runs/{b}",
        "a slash behind": f"{a}/runs/{b}/",
        "two slashes": f"/contacts//dags/crm_a/runs/{b}",
        "parameters of a path": f"/contacts/dags/crm_a;crm_b/runs/{b}",
        "a comma": f"/contacts/dags/crm_a,crm_b/runs/{b}",
        "white space": f"/contacts/dags/crm_b%20/runs/{b}",
        "a line": f"/contacts/dags/crm_a%0d%0aX-Injected:%20crm_b/runs/{b}",
        "zeros": f"{a}/runs/0{b}",
        "a plus": f"{a}/runs/%2B{b}",
        "a float": f"{a}/runs/{b}.0",
        "a filter by OR": f"{a}/runs/{runs[A.dag_id]}?status=rejected%27%20OR%20%271%27=%271",
        "all statuses": f"{a}/runs/{runs[A.dag_id]}?status=%25&error_code=%25",
        "a key in the query": f"/contacts/record?key={digest_of(B.key('rejected'))}",
        "a file": "/contacts/static/..%2Fapp.py",
        "a file above": "/contacts/static/../app.py",
    }  # fmt: skip
    keys = (B.key("rejected"), digest_of(B.key("rejected")), CONTESTED, digest_of(CONTESTED), "%", "", "' OR '1'='1")
    forms = {f"key {place}": Route("/contacts/record", form={"key": key}) for place, key in enumerate(keys)}
    return {name: Route(path) for name, path in paths.items()} | forms


METHODS = ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
BLOCKS = ("rows", "live", "content", "__init__", "")
OVERRIDES = {
    "X-HTTP-Method-Override": "PUT",
    "X-Original-URL": "/contacts/dags/crm_b/runs/3",
    "X-Remote-User": "admin",
}
WAYS: list[tuple[str, dict[str, str]]] = [
    *((method, {}) for method in METHODS),
    *(("GET", {"HX-Request": "true", "HX-Target": block}) for block in BLOCKS),
    *(("GET", {name: value}) for name, value in OVERRIDES.items()),
]


@pytest.fixture
def outsiders(world: World) -> list[Person]:
    """Return who may not read B."""
    return [one for one in world.people if B.dag_id not in one.sees]


@once
def test_rights_are_asked_for_before_anything_else(world: World) -> None:
    """Nobody learns from an answer what is there, or what would be understood."""
    of_b = f"/contacts/dags/{B.dag_id}"
    paths = [f"{of_b}/runs/{number}" for number in ("x", "-1", "999", str(world.runs[B.dag_id]))]
    paths += [f"{of_b}/task", f"{of_b}/task?map_index=x", f"{of_b}/doubts", f"{of_b}/runs/1/rows.csv?status=%00"]
    for path in paths:
        assert (path, world.server.ask("editor_of_a", path).status) == (path, 403)
    for path in [*paths, "/contacts/?since=x", "/contacts/static/nothing"]:
        for headers in ({}, {"Sec-Fetch-Dest": "iframe"}):
            assert (path, world.server.ask(OF_NOBODY, path, headers=headers).status) == (path, 401)
        page = world.server.ask(OF_NOBODY, path, headers={"Sec-Fetch-Dest": "document"})
        assert (page.status, page.headers["location"]) == (303, f"/api/v2/auth/login?next={quote(path, safe='')}")
    assert world.get(OF_NOBODY, Route("/contacts/record", form={"wrong": "x"})).status == 401


@each_world
def test_no_address_leads_to_another_dags_row(world: World, outsiders: list[Person]) -> None:
    tried = games(world.runs) | {f"B's {name}": route for name, route in routes(world.runs, B).items()}
    shown = {}
    for person in outsiders:
        for name, route in tried.items():
            answer = world.get(person.name, route)
            asked = [
                B.dag_id,
                B.sync_id,
                B.run_id,
                f"{B.marker}.push",
                f"{B.marker}.untold",
                *(route.form or {}).values(),
            ]
            shown[person.name, name] = foreign(answer, B, *asked), answer.status >= 500
            assert "x-injected" not in answer.headers
    assert {cell: found for cell, found in shown.items() if found != (set(), False)} == {}


@once
@each_side
def test_no_method_and_no_header_leads_to_another_dags_row(world: World, side: Side) -> None:
    asked = [B.dag_id, B.sync_id, B.run_id, f"{B.marker}.push", f"{B.marker}.untold"] if side is B else []
    shown = {}
    for name, route in routes(world.runs, side).items():
        for method, headers in WAYS:
            answer = world.server.ask("editor_of_a", route.path, method, headers=headers)
            shown[name, method, *headers.values()] = (
                foreign(answer, B, *asked),
                answer.status >= 500,
                has_headers(answer),
            )
    assert {cell: found for cell, found in shown.items() if found != (set(), False, True)} == {}


@each_world
def test_a_page_of_one_run_does_not_go_on_in_another(world: World) -> None:
    found = re.findall(r"after=([^&\"]+)", world.get("admin", Route("/contacts/")).text)
    cursors = [*found, "MTAw", "0", "-1", "9" * 30, "x", "%00", quote("[3, 0]"), quote('{"run_no": 4}')]
    for name in ("runs", "run", "doubts of one sync"):
        path = routes(world.runs, A)[name].path
        for cursor in cursors:
            answer = world.server.ask("editor_of_a", f"{path}{'&' if '?' in path else '?'}after={cursor}")
            assert (name, cursor, foreign(answer, B), answer.status >= 500) == (name, cursor, set(), False)


@each_world
@each_side
def test_records_are_clear_only_to_who_may_edit_and_each_look_is_written_down(world: World, side: Side) -> None:
    for person in world.people:
        for name, route in routes(world.runs, side).items():
            before = len(world.server.looks())
            answer = world.get(person.name, route)
            written = world.server.looks()[before:]
            shows_rows = answer.status == 200 and (route.rows or (route.form and side.dag_id in person.sees))
            is_clear = bool(shows_rows) and side.dag_id in person.edits
            cell, digest = (person.name, name), digest_of(side.key("rejected" if route.form else "unknown"))
            assert (cell, side.canary in answer.text) == (cell, is_clear)
            assert (cell, [(one["owner"], one["dag_id"]) for one in written]) == (
                cell,
                [(person.name, side.dag_id)] * is_clear,
            )
            assert CANARY.findall(repr(written)) == []
            if is_clear and name != "CSV":  # whose rows may be a million
                assert digest in written[0]["extra"]
            if shows_rows and not is_clear:
                assert digest in answer.text, cell


@each_world
def test_a_shared_sync_shows_each_row_as_its_dag_allows(world: World) -> None:
    """The row that B has taken over is B's, whoever sent it first."""
    for person in world.people:
        form = Route("/contacts/record", form={"key": CONTESTED})
        before = len(world.server.looks())
        answer = world.get(person.name, form)
        reads, clear = B.dag_id in person.sees, B.dag_id in person.edits
        assert (person.name, digest_of(CONTESTED) in answer.text) == (person.name, reads)
        assert (person.name, B.canary in answer.text) == (person.name, clear)
        assert [one["dag_id"] for one in world.server.looks()[before:]] == [B.dag_id] * clear


@once
def test_a_look_that_cannot_be_written_down_shows_nothing(world: World) -> None:
    trigger = (
        "CREATE TRIGGER full BEFORE INSERT ON log WHEN NEW.event LIKE 'contacts%' BEGIN SELECT RAISE(ABORT, ''); END"
    )
    run_in(world.server.folder / "airflow.db", trigger)
    try:
        for name, route in routes(world.runs, A).items():
            answer = world.get("admin", route)
            assert (name, answer.status) == (name, 500 if route.rows or route.form else route.status)
            assert (name, CANARY.findall(answer.text)) == (name, [])
            assert has_headers(answer)
    finally:
        run_in(world.server.folder / "airflow.db", "DROP TRIGGER full")


def run_in(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file, timeout=30)) as database:
        database.execute(statement)
        database.commit()


ODD = ["0", "-1", "9" * 30, "NaN", "%00", "%ED%A0%80", "%FF", "~", "A" * 20_000, "", "0001-01-01", "9999-12-31",
       "x%2Fy", "11111111-1111-1111-1111-111111111111%2F1", "%27", "%0d%0aX:%20y"]  # fmt: skip
NAMES = {
    "runs": ("dag_id", "destination", "status", "since", "until", "after"),
    "run": ("status", "error_code", "after"),
    "CSV": ("status", "error_code"),
    "task": ("run_id", "task_id", "map_index", "region"),
    "doubts of one sync": ("sync_id", "after"),
}


@each_world
@pytest.mark.parametrize("route", NAMES)
def test_nothing_that_an_address_holds_breaks_a_page(world: World, route: str) -> None:
    path, found = routes(world.runs, A)[route].path, {}
    base, _, asked = path.partition("?")
    for name in NAMES[route]:
        for value in ODD:
            kept = "&".join(one for one in asked.split("&") if one and not one.startswith(f"{name}="))
            answer = world.server.ask("editor", f"{base}?{name}={value}&{kept}")
            assert "x" not in answer.headers
            found[name, value] = answer.status
    assert {case: status for case, status in found.items() if status >= 500} == {}


@each_world
@pytest.mark.parametrize(
    "key", [None, "", "\x00", "\ud800", "k" * 900_000], ids=["none", "empty", "NUL", "half", "long"]
)
def test_nothing_that_is_searched_for_breaks_the_page(world: World, key: str | None) -> None:
    form = {} if key is None else {"key": key}
    assert world.server.ask("editor", "/contacts/record", "POST", form=form).status < 500


@once
def test_a_key_is_in_no_address_and_hostile_text_is_only_text(world: World) -> None:
    """What a page links to, and what it redirects to, names records by digest alone."""
    for name, route in routes(world.runs, A).items():
        answer = world.get("admin", route)
        links = re.findall(r"(?:href|src|action|hx-get|hx-post)=\"([^\"]*)\"", answer.text)
        assert (name, CANARY.findall("\n".join([*links, *answer.headers.values()]))) == (name, [])
        if name == "CSV":
            assert cells_that_compute(answer.text) == []
            assert re.fullmatch(r'attachment; filename="contacts-run-\d+\.csv"', answer.headers["content-disposition"])
        elif name != "styles":
            assert (name, active(answer.text), INVISIBLE.findall(answer.text)) == (name, [], [])
            assert "{{7*7}}" in answer.text or "canary" not in answer.text


def active(text: str) -> list[str]:
    """Return what a browser would run or style, beside files of ours."""
    found: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names = {name for name, _ in attrs}
            found.extend(f"{tag} {name}" for name in names if name.startswith("on") or name == "style")
            found.extend([tag] * (tag in {"img", "style", "iframe"} or (tag == "script" and "src" not in names)))

    Tags().feed(text)
    return found


def cells_that_compute(text: str) -> list[str]:
    assert text.startswith("\ufeff"), "a spreadsheet takes it for UTF-8"
    cells = [cell for row in csv.reader(StringIO(text.removeprefix("\ufeff"))) for cell in row]
    assert len(cells) > len(ENDS)
    return [cell for cell in cells if re.match(r"\s*[=+@\t\r\n]|\s*-(?!\d+$)", cell)]
