"""Checks of a vendor file, for its tests: of the vendors of this package, or of a vendor in another distribution.

Each check raises ``AssertionError`` with what is wrong, or the exception of the vendor's reader. :func:`check_vendor`
takes a vendor alone. The others take documented exchanges; each exchange is a mapping, as read from a JSON file:

- ``source``: where request and answer are documented, with a mark for each fact: SEED, FOUND, INFERRED or UNKNOWN;
- ``destination`` and ``records``: as a user gives them; every record is valid;
- ``request``: ``method``, ``path`` and ``body``, exactly as they are sent (generated ids are those of the ``sync_id``
  ``exchanges``);
- ``response``: ``status``, ``headers`` (optional), and ``body`` as JSON or ``raw`` as text;
- ``replies`` for a 2xx, one a record: ``kind`` (``created``, ``rejected``, ``again``, ``doubt`` or ``stop``), with
  ``id`` (of ``created`` and ``doubt``), ``errors`` (of ``rejected``) or ``code``;
- ``refusal`` for a 4xx: a mapping of the place of each refused record to its ``errors``; ``refusal_code`` (optional).

An exchange that reads the vendor back has ``steps`` instead of ``request`` and ``response``. The first step is the
vendor's first question about the records, and each further one follows from the answer before. A step has ``request``
(``method``, ``path``, ``query``, and ``body`` where there is one) and ``response``, and either ``unreadable: true`` or
``contacts``, each with ``id``, ``fields`` and ``created_at``. ``proves_absence: false`` says that the vendor may have a
contact that the answer does not show.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args

from airflow_provider_contacts.errors import ConfigError, UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.transport.settings import parse_settings, settings_of
from airflow_provider_contacts.vendor_kit.answers import first_shape, read_refusal, read_replies
from airflow_provider_contacts.vendor_kit.forms import Account
from airflow_provider_contacts.vendor_kit.reads import Contact
from airflow_provider_contacts.vendor_kit.refusals import CODE, FIELD
from airflow_provider_contacts.vendor_kit.vendor import Created, Rejected, Replies, Reply, Request, Response, Vendor

MARKS = ("SEED", "FOUND", "INFERRED", "UNKNOWN")
KINDS = {kind: kind.__name__.lower() for kind in get_args(Reply)}
GARBAGE = (b"", b"<html>", b"\xff", b"null", b"[]", b"{}", b"7", b'"x"', b"[[]]", b"[" * 100_000, b'{"id":')
STRANGE: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**30, "", "x", "1", [], [None], {}, {"id": "1"})


def same(found: object, wanted: object, what: str) -> None:
    """Raise ``AssertionError`` where two values differ."""
    assert found == wanted, f"{what}: {found!r}, not {wanted!r}"


def check_vendor(vendor: Vendor) -> None:
    """Check what can be checked of a vendor without an exchange: name, settings, addresses, fields, limits.

    :raises AssertionError: with what is wrong.
    """
    assert re.fullmatch(r"[a-z][a-z0-9_]*", vendor.name), f"the name {vendor.name!r} is no connection type"
    settings, form = settings_of(vendor), vendor.destination
    names = [setting.name for setting in settings]
    assert len(names) == len(set(names)), f"a setting is declared twice: {names}"
    assert not parse_settings({}, form.settings, "the destination"), "a key of the destination has a default"
    nothing = Account(extra=parse_settings({}, settings, "an empty extra"))
    for url in (vendor.docs_url, vendor.base_url(nothing)):
        assert url.startswith("https://"), f"{url!r} is no https address"
    try:
        vendor.auth.credential(nothing)
    except ConfigError:
        pass
    else:
        raise AssertionError("an empty connection gives a credential")
    keys = {*form.required, *form.exactly_one, *([form.object_key] if form.object_key else [])}
    assert keys <= {setting.name for setting in form.settings}, f"the destination has no settings for all of {keys}"
    fields = vendor.contract.fields
    for name, native in vendor.contract.shorthands.items():
        assert native in fields, f"the flat name {name!r} fills {native!r}, which is no field"
    for path in vendor.read_back.identity if vendor.read_back else ():
        assert path.partition(".")[0] in fields, f"{path!r} tells persons apart and is no field"
    single = vendor.envelope == (b"", b"")
    assert vendor.limits.batch_size == 1 if single else vendor.limits.batch_size > 0, "envelope and batch_size differ"
    if vendor.check is not None:
        asked = vendor.check(dict.fromkeys(keys, "id"))
        same((asked.method, asked.body), ("GET", None), "the test request may change something")


def check_keys(found: set[str], wanted: set[str], source: str) -> None:
    """Check that an exchange is whole and says where it is documented."""
    same(found, {"source", "destination", "records", *wanted}, "keys of the exchange")
    assert any(mark in source for mark in MARKS), f"the source has no mark of {MARKS}"


def check_exchange(vendor: Vendor, exchange: Mapping[str, Any]) -> None:
    """Check the request that is made of an exchange's records, and the outcomes that are read from its answer.

    The answer is then changed in every place, and replaced by garbage: the reader must not fail, give one id to two
    records, or answer for fewer records than were sent.

    :raises AssertionError: with what is wrong.
    """
    check_keys(
        {*exchange} - {"replies", "refusal", "refusal_code"}, {"request", "response"}, exchange.get("source", "")
    )
    prepared = prepare(vendor, exchange)
    assert 0 < len(prepared) <= vendor.limits.batch_size, f"{len(prepared)} records are no request"
    body = b",".join(one.body for one in prepared).join(vendor.envelope)
    leaving = {"method": "POST", "path": vendor.request_path(exchange["destination"]), "body": json.loads(body)}
    same(leaving, exchange["request"], "what leaves")
    answer, sent = answer_of(exchange["response"]), [one.payload for one in prepared]
    if "replies" in exchange:
        found = [reply_as_json(reply) for reply in read_replies(vendor, answer, sent)]
        same(found, told(exchange["replies"]), "replies")
    else:
        refusal = read_refusal(vendor, answer, len(sent))
        named = {str(place): errors_as_json(errors) for place, errors in refusal.reasons.items()}
        same(named, told(exchange["refusal"]), "named records")
        same(refusal.code, exchange.get("refusal_code", refusal.code), "code of the refusal")
    for body in (*GARBAGE, *changed_bodies(answer)):
        check_answer(vendor, Response(answer.status, answer.headers, body), sent)


def check_answer(vendor: Vendor, answer: Response, sent: Sequence[dict[str, Any]]) -> Replies:
    """Check what is true of every answer, documented or not; return its replies.

    :raises AssertionError: with what is wrong.
    """
    try:
        replies = vendor.read(answer, sent)
    except UnreadableError:
        replies = Replies.doubt(len(sent), "unreadable")
    same(len(replies), len(sent), "replies for the records")
    ids = [reply.id for reply in replies if isinstance(reply, Created) and reply.id is not None]
    assert len(set(ids)) == len(ids), "one id for two records"
    for reply in replies:
        assert type(reply) in KINDS, f"{reply!r} is no reply"
        assert not isinstance(reply, Rejected) or reply.errors, "a rejection without a reason"
    with suppress(UnreadableError):
        first_shape(vendor, answer)
    refusal = read_refusal(vendor, answer, len(sent))
    assert set(refusal.reasons) <= set(range(len(sent))), "a refusal names a record that was not sent"
    errors = [error for named in refusal.reasons.values() for error in named]
    for code in (refusal.code, *(error.code for error in errors)):
        assert CODE.fullmatch(code), f"{code!r} is no code"
    assert all(error.field is None or FIELD.fullmatch(error.field) for error in errors), "a field is a sentence"
    return replies


def check_reading(vendor: Vendor, exchange: Mapping[str, Any]) -> None:
    """Check the requests that look for records in doubt, and the contacts that are read from the answers.

    :raises AssertionError: with what is wrong.
    """
    check_keys({*exchange}, {"steps"}, exchange.get("source", ""))
    words = vendor.read_back
    assert words is not None, f"{vendor.name} is not read back"
    asked = list(words.questions([one.payload for one in prepare(vendor, exchange)], exchange["destination"]))
    question = asked[0] if asked else None
    for step in exchange["steps"]:
        assert question is not None, "the answer before was the last one"
        same(request_as_json(question.request), step["request"], "question")
        answer = answer_of(step["response"])
        assert 200 <= answer.status < 300 or answer.status in words.absent_statuses, "an answer that is not read"  # noqa: PLR2004
        for body in (*GARBAGE, *changed_bodies(answer)):
            with suppress(UnreadableError):
                words.read(Response(answer.status, {}, body), question)
        try:
            page = words.read(answer, question)
        except UnreadableError:
            assert step.get("unreadable"), "an answer is unreadable"
            assert step is exchange["steps"][-1], "a step follows an unreadable answer"
            return
        assert not step.get("unreadable"), "an answer is readable"
        same([contact_as_json(contact) for contact in page.contacts], step["contacts"], "contacts")
        same(page.whole, step.get("proves_absence", True), "proof of absence")
        question = page.more
    assert question is None, "the last answer leads on"


def check_exchanges(exchanges: Iterable[Mapping[str, Any]]) -> None:
    """Check that the exchanges of a vendor include a success, an answer that proves nothing, and a refusal.

    :raises AssertionError: with what is missing.
    """
    listed = list(exchanges)
    kinds = [{reply["kind"] for reply in exchange.get("replies", ())} for exchange in listed]
    assert {"created"} in kinds, "an exchange is missing in which all records are created"
    assert any("doubt" in found for found in kinds), "an exchange is missing whose answer proves nothing"
    assert any("refusal" in exchange for exchange in listed), "an exchange with a refusing status is missing"


def prepare(vendor: Vendor, exchange: Mapping[str, Any]) -> list[Record]:
    """Return the records of an exchange as they are sent."""
    mapper = Mapper(vendor=vendor, destination=exchange["destination"], sync_id="exchanges")
    prepared = [mapper.prepare(index, plain_row(record)) for index, record in enumerate(exchange["records"])]
    sound = [one for one in prepared if not one.errors]
    assert len(sound) == len(prepared), f"records of the exchange are refused: {prepared}"
    return sound


def answer_of(response: Mapping[str, Any]) -> Response:
    """Return the answer of an exchange."""
    assert ("raw" in response) != ("body" in response), "a response has either raw or body"
    text = response["raw"] if "raw" in response else json.dumps(response["body"])
    headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
    return Response(response["status"], headers, text.encode())


def changed_bodies(answer: Response) -> Iterator[bytes]:
    """Yield an answer's body with each of its values replaced by strange ones, or left out."""
    try:
        body = answer.json()
    except UnreadableError:
        return
    for path in paths(body):
        for value in (*STRANGE, ...):
            yield json.dumps(replaced(body, path, value)).encode()


def replaced(value: Any, path: Sequence[Any], by: Any) -> Any:
    """Return a copy with what stands at a path replaced; by ``...``: left out."""
    changed = holder = copy.deepcopy(value)
    for key in path[:-1]:
        holder = holder[key]
    if by is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = by
    return changed


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*at, key)
        yield from paths(member, (*at, key))


def told(value: Any) -> Any:
    """Return a JSON value without members that are null: an exchange may leave them out."""
    if isinstance(value, list):
        return list(map(told, value))
    return {name: told(one) for name, one in value.items() if one is not None} if isinstance(value, dict) else value


def errors_as_json(errors: Iterable[RecordError]) -> Any:
    """Return errors as an exchange has them."""
    return told([{"code": error.code, "field": error.field} for error in errors])


def reply_as_json(reply: Reply) -> Any:
    """Return a reply as an exchange has it."""
    shown: dict[str, Any] = {name: getattr(reply, name, None) for name in ("id", "code")}
    if isinstance(reply, Rejected):
        shown["errors"] = errors_as_json(reply.errors)
    return told({"kind": KINDS[type(reply)], **shown})


def request_as_json(request: Request) -> dict[str, Any]:
    """Return a question's request as an exchange has it."""
    shown = {"method": request.method, "path": request.path, "query": [list(pair) for pair in request.query]}
    return shown if request.body is None else {**shown, "body": json.loads(request.body)}


def contact_as_json(contact: Contact) -> dict[str, Any]:
    """Return a contact as an exchange has it."""
    created_at = contact.created_at.isoformat() if contact.created_at else None
    return {"id": contact.id, "fields": contact.fields, "created_at": created_at}
