"""``/_simulator``: look at what exists, set knobs, start again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_contacts.simulator.asgi import Receive, Scope, read_body
from airflow_provider_contacts.simulator.messages import Answer, RefusedCallError, parsed

if TYPE_CHECKING:
    from airflow_provider_contacts.simulator.app import Simulator

LONGEST_BODY = 64_000

HELP = """\
Five vendors, simulated: /intermezzo /nedzo /dex /apptoto /talkdesk

GET  /_simulator/summary                 counts of every vendor, identical contacts included
GET  /_simulator/state?vendor=talkdesk   counts and every stored contact, in order
       &limit=100&offset=0               some of them
       &requests=true                    every request as well
       &duplicates_by=email              values that several contacts share
GET  /_simulator/faults                  every knob's value
POST /_simulator/faults                  {"talkdesk.store_then_drop": "next:1", "all.latency": "80ms"}; answers these
POST /_simulator/reset                   forget contacts and requests; {"knobs": true}: and what was set since
"""


async def answer(simulator: Simulator, scope: Scope, receive: Receive) -> Answer:
    """Return what a request to the root or to ``/_simulator`` is answered."""
    try:
        found = await _found(simulator, scope, receive)
    except RefusedCallError as error:
        headers = {"Connection": "close"} if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else {}
        return Answer(error.status, {"error": error.message}, headers=headers)
    except ValueError as error:
        return Answer(400, {"error": str(error)})
    return Answer(200, found, content_type="text/plain" if isinstance(found, str) else "application/json")


async def _found(simulator: Simulator, scope: Scope, receive: Receive) -> Any:
    match scope["method"], scope["path"].removeprefix("/_simulator").strip("/"):
        case "GET", "":
            return HELP
        case "GET", "summary":
            same = {name: [count - 1 for count in one.duplicates().values()] for name, one in simulator.vendors.items()}
            return {name: {**one.state(), "identical": sum(same[name])} for name, one in simulator.vendors.items()}
        case "GET", "state":
            return _state(simulator, dict(parse_qsl(scope["query_string"].decode("latin-1"))))
        case "GET", "faults":
            return {name: vendor.knobs.shown() for name, vendor in simulator.vendors.items()}
        case "POST", "faults":
            return _set(simulator, await _object(receive, "a JSON object of knobs"))
        case "POST", "reset":
            body = await _object(receive, 'empty or {"knobs": true}', empty=True)
            if body.keys() - {"knobs"} or not isinstance(body.get("knobs", False), bool):
                raise ValueError('the body must be empty or {"knobs": true}')
            simulator.reset(knobs=body.get("knobs", False))
            return {"reset": True}
        case _, "" | "summary" | "state" | "faults" | "reset":
            raise RefusedCallError(405, f"{scope['method']} is not taken here; GET / shows what is")
        case _:
            raise RefusedCallError(404, "there is nothing here; GET / shows what there is")


def _state(simulator: Simulator, query: Mapping[str, str]) -> dict[str, Any]:
    vendor = simulator.vendors.get(query.get("vendor", ""))
    if vendor is None:
        raise ValueError(f"vendor must be one of {', '.join(simulator.vendors)}")
    start, limit = query.get("offset", "0"), query.get("limit", str(len(vendor.stored)))
    if not (start.isdecimal() and limit.isdecimal() and len(start + limit) < 100):  # noqa: PLR2004  # no number is as long
        raise ValueError("limit and offset must be whole numbers")
    shown = vendor.stored[int(start) : int(start) + int(limit)]
    body: dict[str, Any] = {**vendor.state(), "contacts": [asdict(one) for one in shown]}
    if query.get("requests") == "true":
        body["request_log"] = [asdict(seen) for seen in vendor.requests]
    if field := query.get("duplicates_by"):
        body["duplicates"] = vendor.duplicates(field)
    return body


def _set(simulator: Simulator, settings: dict[str, Any]) -> dict[str, Any]:
    """Set knobs, and return these as ``GET`` shows them."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= {f"{name}.{knob}": one for knob, one in value.items()} if isinstance(value, dict) else {name: value}
    shown: dict[str, Any] = {}
    for vendor, name in simulator.update(flat):
        shown.setdefault(vendor.name, {})[name] = vendor.knobs.shown()[name]
    return shown


async def _object(receive: Receive, wanted: str, *, empty: bool = False) -> dict[str, Any]:
    body = await read_body(receive, LONGEST_BODY)
    if body is None:
        raise RefusedCallError(413, f"the body is longer than {LONGEST_BODY:,} bytes")
    try:
        found = parsed(body) if body or not empty else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"the body must be {wanted}")  # noqa: TRY004  # wrong for this call, like any other
    return found
