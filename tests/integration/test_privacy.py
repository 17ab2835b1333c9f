"""Whatever goes wrong, no personal data and no secret shows outside the table and the vendor."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_contacts.errors import ContactsError
from airflow_provider_contacts.hooks import ContactsHook, DexHook, TalkdeskHook
from airflow_provider_contacts.outcome import Outcome
from tests.airflow_harness import airflow_connections
from tests.support.pushing import World, push, sql_push

SECRET = "secretcanary"
PERSON = "personcanary"
BY_VENDOR = {
    "apptoto": ("name", "email", "phone"),
    "dex": ("first_name", "email", "phone_number"),
    "intermezzo": ("name", "email", "phone_number"),
    "nedzo": ("first_name", "email", "phone"),
    "talkdesk": ("first_name", "last_name", "phone_number"),
}
TROUBLES: dict[str, dict[str, Any]] = {
    "none": {},
    "garbage": {"garbage": "always"},
    "truncated": {"truncated": "always"},
    "html": {"html_200": "always"},
    "short": {"short": "always"},
    "foreign": {"foreign_record": "always"},
    "lost": {"store_then_drop": "always"},
    "reset": {"close_before_store": "always", "drop_form": "rst"},
    "redirect": {"redirect": "always"},
    "rejected": {"reject": f"__first__~{PERSON}"},
    **{f"http_{status}": {f"http_{status}": "always"} for status in (403, 422, 429, 500)},
    "token refused": {"token.http_401": "always"},
    "token garbage": {"token.garbage": "always"},
}


def rows_of(vendor: str) -> list[Any]:
    """Return records that are good, bad and odd, every value of them a canary."""
    name, second, phone = BY_VENDOR[vendor]
    good = [
        {"key": f"{PERSON}-key{n}", name: f"{PERSON} {n}", second: f"{PERSON}{n}@example.com", phone: f"+1555777{n:04}"}
        for n in range(3)
    ]
    return [
        *good,
        good[0],
        {**good[0], "key": f"{PERSON}-bad", second: f"{PERSON} none", name: 5},
        {**good[1], "key": f"{PERSON}-odd", f"{PERSON}_column": f"{PERSON} odd"},
        {**good[2], "key": {PERSON: PERSON}},
        f"{PERSON} is no mapping",
    ]


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Yield everything that a log could print of an exception and of those behind it."""
    if error is None:
        return
    yield from traceback.format_exception(error)
    seen: BaseException | None = error
    while seen is not None:
        yield f"{seen!r} {seen} {seen.args!r} {getattr(seen, '__notes__', '')}"
        seen = seen.__cause__ or seen.__context__


@pytest.fixture
def printed(said: Callable[[], list[str]]) -> Iterator[list[str]]:
    """Return a list for further texts; at the end, nothing that was said anywhere may hold a canary."""
    texts: list[str] = []
    yield texts
    texts.extend(said())
    assert sum(map(len, texts)) > 50, "something was said"
    for canary in (SECRET, PERSON, "1555777"):
        assert [text[:2000] for text in texts if canary in text] == []


def secretive(world: World) -> None:
    """Give every connection secrets that are canaries."""
    for name in BY_VENDOR:
        form = {"dex": f"dex_{SECRET}"}.get(name, SECRET)
        changed = {"login": f"{SECRET}@example.com"} if name == "apptoto" else {}
        world.connect(f"{name}_default", password=form, **changed)


def test_a_canary_would_be_heard(world: World, said: Callable[[], list[str]]) -> None:
    world.run(push(rows_of("dex"), outcomes_conn_id=None, request_attempts=1))
    texts = said()
    for begin in ("airflow_provider_contacts", "asyncio"):
        assert any(text.startswith(begin) for text in texts)
    assert "AirflowFailException" in "".join(texts)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("vendor", BY_VENDOR)
def test_a_push_in_trouble_shows_nobody(world: World, vendor: str, trouble: str, printed: list[str]) -> None:
    secretive(world)
    set_knobs(world, vendor, trouble)
    given: dict[str, Any] = {"contacts_conn_id": f"{vendor}_default", "requests_per_second": 500}
    op = push(rows_of(vendor), **given, request_attempts=1, xcom_outcomes="none")
    result = world.run(op)
    summary = world.summary(op)
    assert summary["num_planned"] == 8
    assert summary["num_undelivered"] >= 4
    printed.extend(texts_of(result.error))
    printed.extend([json.dumps(summary), json.dumps(list(world.api.rendered.values()))])
    printed.append(json.dumps(world.api.states))
    kept = "".join(json.dumps(world.query(f"SELECT * FROM contact_outcomes{table}")) for table in ("", "_runs"))
    assert SECRET not in kept
    assert PERSON in kept, "the table is where they belong"


def set_knobs(world: World, vendor: str, trouble: str) -> None:
    for knob, value in TROUBLES[trouble].items():
        if isinstance(value, str):
            value = value.replace("__first__", BY_VENDOR[vendor][0])  # noqa: PLW2901  # the same value, completed
        world.simulator.set(f"{vendor}.{knob}", value)


@pytest.mark.parametrize(
    "changed",
    [
        {"extra": {"tokn_url": SECRET}},
        {"extra": {"proxy": f"{SECRET}:1"}},
        {"extra": {"verify": f"/{SECRET}"}},
        {"extra": '{"token_url": "' + SECRET},
        {"extra": {"request_timeout": SECRET}},
        {"password": f"{SECRET}\n"},
        {"password": f"{SECRET} {SECRET}"},
        {"host": f"https://{SECRET}:{SECRET}@vendor.example"},
        {"host": f"https://vendor.example?key={SECRET}"},
        {"extra": {"proxy": f"http://user:{SECRET}@127.0.0.1:9"}},
    ],
)
def test_a_wrong_connection_shows_no_secret(world: World, changed: dict[str, Any], printed: list[str]) -> None:
    secretive(world)
    world.connect("dex_default", **changed)
    op = push(rows_of("dex"), outcomes_conn_id=None, request_attempts=1)
    result = world.run(op)
    assert result.error is not None
    printed.extend(texts_of(result.error))
    with airflow_connections({"wrong": {**world.api.connections["dex_default"], "extra": as_text(changed)}}):
        printed.append(str(DexHook("wrong").test_connection()))


def as_text(changed: dict[str, Any]) -> str:
    extra = changed.get("extra", {})
    return extra if isinstance(extra, str) else json.dumps(extra)


@pytest.mark.parametrize("hook", [DexHook, TalkdeskHook])
@pytest.mark.parametrize("trouble", ["none", "http_403", "lost", "token refused"])
def test_a_hook_shows_nobody(world: World, hook: type[ContactsHook], trouble: str, printed: list[str]) -> None:
    secretive(world)
    vendor = hook.conn_type
    set_knobs(world, vendor, trouble)
    conn_id = f"{vendor}_default"
    with airflow_connections({conn_id: world.api.connections[conn_id]}):
        found = hook(conn_id)
        printed.append(repr(found))
        printed.append(repr(found.target()))
        with found.client(found.target()) as client:
            printed.append(repr(client))
        with found.get_conn() as plain:
            printed.append(repr(plain))
            try:
                printed.append(repr(plain.get("/v1/nothing")))
            except ContactsError as error:
                printed.extend(texts_of(error))
        outcomes: list[Outcome] = []
        try:
            for outcome in found.push(rows_of(vendor), sync_key="key", request_attempts=1):
                outcomes.append(outcome)  # noqa: PERF402  # what came before an exception counts
        except ContactsError as error:
            printed.extend(texts_of(error))
    printed.extend(map(repr, outcomes))
    assert len(outcomes) == 8
    assert [text for text in printed if PERSON in text or SECRET in text] == []


def test_the_query_of_a_source_shows_nobody(world: World, printed: list[str]) -> None:
    world.fill([{"key": f"{PERSON}{n}", "email": f"{PERSON}{n}"} for n in range(5)])
    op = sql_push("SELECT key, email FROM people", request_attempts=1)
    result = world.run(op)
    assert world.summary(op)["num_invalid"] == 5
    printed.extend(texts_of(result.error))


def test_a_ledger_in_trouble_shows_nobody(world: World, printed: list[str]) -> None:
    op = push(rows_of("dex"), request_attempts=1)
    world.run(op)
    broken = "BEFORE UPDATE ON contact_outcomes_records BEGIN SELECT RAISE(ABORT, 'no more'); END"
    world.query(f"CREATE TRIGGER broken {broken}")
    world.api.xcoms.clear()
    result = world.run(op, run_id="second")
    printed.extend(texts_of(result.error))
    assert result.error is not None
