"""A vendor that repeats what authorized the request, or says more than anybody can keep."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_contacts.hooks import HOOKS
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.sanitize import MASK, MESSAGE_LENGTH, NAME_LENGTH
from tests.airflow_harness import airflow_connections
from tests.support.pushing import World
from tests.support.pushing import push as push_records
from tests.support.sockets import Server, Wire
from tests.support.vendors import PEOPLE

LOGIN = {"apptoto": "ada@example.com", "intermezzo": "client-id", "talkdesk": "client-id"}
SECRETS = {"a word": "canary_secret_1", "odd signs": 'canary/1+"%=\\'}
TOKEN = "canary.minted-token/"
"""What begins every token; a number ends it."""

Response = Callable[[str, int, Any], tuple[int, Any]]
"""From the header, the number and the body of the request to a status and a body."""


@contextmanager
def vendor(answer: Response) -> Iterator[str]:
    """Serve a vendor on loopback, its token endpoint too."""
    numbers, tokens = count(), count()

    def handle(wire: Wire) -> bool:
        if wire.heard.path.endswith("/token"):
            status, body = 200, {"access_token": f"{TOKEN}{next(tokens)}", "expires_in": 3600}
        else:
            sent = json.loads(wire.heard.body) if wire.heard.body else None
            status, body = answer(wire.heard.headers["authorization"], next(numbers), sent)
        return wire.say(status, json.dumps(body).encode())

    server = Server(handle)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close()


def saying(word: str) -> dict[str, Any]:
    """Return one body in which every vendor's reader finds the word wherever it looks for a text."""
    reason = {"loc": ["body", 0, word], "msg": word, "type": word, "code": word, "message": word, "field": word}
    return {
        **dict.fromkeys(("id", "code", "error", "message", "title", "type", "detail", "external_id"), word),
        "detail": [reason],
        "details": {"field": word, "value": word},
        "errors": [reason, word],
        "fields": [{"name": word, "description": word}],
        "contacts": [{"id": word, "error": word, "errors": [word]}],
        "records": [{"id": word}],
        "data": {"id": word, "status_code": 422, "error": reason},
        "results": [{"id": word, "status": "error", "error": reason}],
    }


def shapes(word: str, sent: Any = None) -> list[Any]:
    """Return the bodies that are tried: whole, without what hides another shape, and good ones with the word for id."""
    body = saying(word)
    alone = {"id": word}
    posted = sent.get("contacts", [sent]) if isinstance(sent, dict) else [{}]
    created = [{**as_told(one), "id": word} for one in posted]
    return [
        body,
        {**body, "detail": word},
        {name: body[name] for name in ("error", "message", "details")},
        {name: body[name] for name in ("code", "message", "fields")},
        {"errors": body["errors"]},
        {"detail": body["detail"]},
        alone,
        {"contact": alone, "contacts": [alone], "data": [alone], "records": [alone], "success": True},
        {"contacts": created, "error": False, "data": {"contacts": created}},
    ]


def as_told(contact: Any) -> dict[str, Any]:
    """Return a contact as the vendors show it: flat."""
    return {name: value for name, value in contact.items() if isinstance(value, str)} if contact else {}


STATUSES = (200, 201, 207, 400, 422)
# In this order, since too many answers in a row that nobody can use end a push.
PLACES = [(status, number) for number in range(len(shapes(""))) for status in STATUSES]


def connect(world: World, name: str, url: str, secret: str) -> None:
    extra = world.api.connections[f"{name}_default"].get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else dict(extra)
    if "token_url" in extra:
        extra["token_url"] = f"{url}/token"
    world.connect(f"{name}_default", host=url, schema="", port=None, password=secret, login=LOGIN.get(name, ""),
                  extra=extra)  # fmt: skip


def push(name: str, count: int = 1, **parameters: Any) -> Any:
    given: dict[str, Any] = {"xcom_outcomes": "all", "request_attempts": 1, "requests_per_second": 500}
    records = [{**PEOPLE[name], "key": f"k{n}"} for n in range(count)]
    return push_records(records, contacts_conn_id=f"{name}_default", **{**given, **parameters})


def kept(world: World, op: Any) -> str:
    """Return everything that is stored or shown of a push."""
    summary = world.summary(op)
    tables = [world.query(f"SELECT * FROM contact_outcomes{rest}") for rest in ("", "_runs")]
    return json.dumps([summary, tables, world.api.states, list(world.api.rendered.values())], default=str)


@pytest.mark.parametrize("store_payload", ["undelivered", "never"])
@pytest.mark.parametrize("word", SECRETS)
@pytest.mark.parametrize("name", HOOKS)
def test_a_credential_that_comes_back_is_kept_nowhere(
    world: World, name: str, word: str, store_payload: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def answer(header: str, number: int, sent: Any) -> tuple[int, Any]:
        status, shape = PLACES[number]
        value = header.partition(" ")[2]
        said = {200: header, 201: value, 422: value}.get(status, quote(f"{header} {SECRETS[word]}", safe=""))
        return status, shapes(said, sent)[shape]

    with vendor(answer) as url:
        connect(world, name, url, SECRETS[word])
        op = push(name, len(PLACES), store_payload=store_payload, batch_size=1, max_in_flight=1)
        result = world.run(op)
    assert world.summary(op)["num_requests"] == len(PLACES)
    texts = kept(world, op) + str(result.error) + "".join(capfd.readouterr())
    assert shown(texts) == []
    assert texts.count(MASK) >= 3, "something was said, and masked"


def shown(text: str) -> list[str]:
    """Return what stands around each secret that shows."""
    return [text[max(0, found.start() - 40) : found.end() + 40] for found in re.finditer("canary", text)]


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
@pytest.mark.parametrize("name", HOOKS)
def test_nor_where_it_ends_the_push(world: World, name: str, status: int, capfd: pytest.CaptureFixture[str]) -> None:
    with vendor(lambda header, *_: (status, saying(header))) as url:
        connect(world, name, url, SECRETS["a word"])
        op = push(name)
        result = world.run(op)
    assert result.error is not None
    assert shown(kept(world, op) + str(result.error) + "".join(capfd.readouterr())) == []


@pytest.mark.parametrize("name", HOOKS)
def test_a_hooks_outcomes_show_no_credential(world: World, name: str) -> None:
    with vendor(lambda header, *_: (422, saying(header.partition(" ")[2]))) as url:
        connect(world, name, url, SECRETS["a word"])
        conn_id = f"{name}_default"
        with airflow_connections({conn_id: world.api.connections[conn_id]}):
            (one,) = HOOKS[name](conn_id).push([PEOPLE[name]], request_attempts=1)
    if name in {"apptoto", "dex"}:
        assert one.errors == (RecordError("http_422"),), "nothing else is read of a refusal"
        return
    said = [one.error_code, one.error_field, one.status_message, one.destination_record_id, *map(str, one.errors)]
    said += [str(error.message) for error in one.errors]
    assert "canary" not in "".join(map(str, said))
    assert MASK in "".join(map(str, said))


@pytest.mark.parametrize("name", ["intermezzo", "talkdesk"])
def test_every_token_is_masked(world: World, name: str) -> None:
    # The second token's answer repeats the first one, too.
    headers: list[str] = []

    def answer(header: str, *_: Any) -> tuple[int, Any]:
        headers.append(header.partition(" ")[2])
        return (401, {}) if len(headers) == 1 else (422, saying(" and ".join(headers)))

    with vendor(answer) as url:
        connect(world, name, url, SECRETS["a word"])
        op = push(name)
        world.run(op)
    assert len(set(headers)) == 2
    assert all(header.startswith(TOKEN) for header in headers)
    assert "canary" not in kept(world, op)
    assert f"{MASK} and {MASK}" in kept(world, op)


def test_a_name_that_is_looked_up_shows_no_credential(world: World) -> None:
    def serve(header: str, *_: Any) -> tuple[int, Any]:
        return 200, {
            "address_books": [{"id": 1, "name": f"{header} {SECRETS['a word']}"}, {"id": 2, "name": "x" * 9999}]
        }

    with vendor(serve) as url:
        connect(world, "apptoto", url, SECRETS["a word"])
        result = world.run(push("apptoto", destination={"address_book": "typo"}))
    text = str(result.error)
    assert "canary" not in text
    assert MASK in text
    assert len(text) <= MESSAGE_LENGTH


# What is long.


@pytest.mark.parametrize("table", ["outcomes", None])
@pytest.mark.parametrize("name", HOOKS)
def test_what_a_vendor_says_at_length_is_cut_in_xcom_as_in_the_table(
    world: World, name: str, table: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    places = [(status, shape) for status, shape in PLACES if status in {201, 422}]

    def answer(_: str, number: int, sent: Any) -> tuple[int, Any]:
        status, shape = places[number]
        return status, shapes("x" * 20_000, sent)[shape]

    with vendor(answer) as url:
        connect(world, name, url, SECRETS["a word"])
        op = push(name, len(places), outcomes_conn_id=table, batch_size=1, max_in_flight=1)
        result = world.run(op)
    entries = {one.pop("record_identifier"): one for one in world.summary(op)["outcomes"]}
    assert len(entries) == len(places)
    longest = {column: max(len(one[column] or "") for one in entries.values()) for column in LENGTHS}
    assert all(longest[column] <= most for column, most in LENGTHS.items())
    assert any(longest[column] == most for column, most in LENGTHS.items()), "something was long"
    assert len(json.dumps(world.summary(op))) < 100_000
    if table:
        rows = world.query("SELECT * FROM contact_outcomes")
        kept_too = [*LENGTHS, "status"]
        assert {row["record_identifier"]: [row[column] for column in kept_too] for row in rows} == {
            key: [entry[column] for column in kept_too] for key, entry in entries.items()
        }
        assert sum(len(str(value)) for row in rows for value in row.values()) < 200_000
    assert len(str(result.error)) < 2000
    assert max(map(len, "".join(capfd.readouterr()).splitlines())) < 20_000


LENGTHS = {
    "destination_record_id": NAME_LENGTH,
    "error_code": NAME_LENGTH,
    "error_field": NAME_LENGTH,
    "status_message": MESSAGE_LENGTH,
}


def test_a_new_code_for_every_record_is_counted_by_a_hundred_names(world: World) -> None:
    def answer(_: str, number: int, __: Any) -> tuple[int, Any]:
        return 422, {"code": f"C{number:03}" + "X" * 40, "message": "m" * 10_000}

    with vendor(answer) as url:
        connect(world, "talkdesk", url, SECRETS["a word"])
        op = push("talkdesk", 150, batch_size=1, xcom_outcomes="none")
        result = world.run(op)
    summary = world.summary(op)
    assert sum(summary["error_codes"].values()) == 150
    assert 50 < len(summary["error_codes"]) <= 101
    assert max(map(len, summary["error_codes"])) <= 100
    assert len(str(result.error)) < 2000
