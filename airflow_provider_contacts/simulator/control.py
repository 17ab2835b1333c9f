"""``/_simulator``: look at what exists, set knobs, start again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_contacts.simulator.app import Simulator

HELP = """\
Five vendors, simulated: /intermezzo /nedzo /dex /apptoto /talkdesk

GET  /_simulator/summary                 counts of every vendor, identical contacts included
GET  /_simulator/state?vendor=talkdesk   counts and every stored contact, in order
       &limit=100&offset=0               some of them
       &requests=true                    every request as well
       &duplicates_by=email              values that several contacts share
GET  /_simulator/faults                  every knob's value
POST /_simulator/faults                  {"talkdesk.store_then_drop": "next:1", "all.latency": "80ms"}
POST /_simulator/reset                   forget contacts and requests; {"knobs": true}: and what was set since
"""


class _Control:
    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    async def help(self, request: Request) -> Response:  # noqa: ARG002  # the signature is Starlette's
        return PlainTextResponse(HELP)

    async def summary(self, request: Request) -> Response:  # noqa: ARG002  # the signature is Starlette's
        return JSONResponse(
            {
                name: {**vendor.state(), "identical": sum(vendor.duplicates().values()) - len(vendor.duplicates())}
                for name, vendor in self.simulator.vendors.items()
            }
        )

    async def state(self, request: Request) -> Response:
        query = request.query_params
        vendor = self.simulator.vendors.get(query.get("vendor", ""))
        if vendor is None:
            return _wrong(f"vendor must be one of {', '.join(self.simulator.vendors)}")
        try:
            start = int(query.get("offset", "0"))
            end = start + int(query.get("limit", str(len(vendor.stored))))
        except ValueError:
            return _wrong("limit and offset must be whole numbers")
        body: dict[str, Any] = {**vendor.state(), "contacts": [asdict(one) for one in vendor.stored[start:end]]}
        if query.get("requests") == "true":
            body["request_log"] = [asdict(seen) for seen in vendor.requests]
        if field := query.get("duplicates_by"):
            body["duplicates"] = vendor.duplicates(field)
        return JSONResponse(body)

    async def faults(self, request: Request) -> Response:
        if request.method == "POST":
            settings = await _object(request)
            if settings is None:
                return _wrong("the body must be a JSON object of knobs")
            try:
                self.simulator.update(_flat(settings))
            except ValueError as error:
                return _wrong(str(error))
        return JSONResponse({name: vendor.knob_values() for name, vendor in self.simulator.vendors.items()})

    async def reset(self, request: Request) -> Response:
        settings = await _object(request) if await request.body() else {}
        if settings is None or settings.keys() - {"knobs"}:
            return _wrong('the body must be empty or {"knobs": true}')
        self.simulator.reset(knobs=settings.get("knobs") is True)
        return JSONResponse({"reset": True})


def control_routes(simulator: Simulator) -> Router:
    """Return the routes under ``/_simulator``, and the page of help at the root."""
    control = _Control(simulator)
    return Router(
        [
            Route("/", control.help),
            Route("/_simulator", control.help),
            Route("/_simulator/summary", control.summary),
            Route("/_simulator/state", control.state),
            Route("/_simulator/faults", control.faults, methods=["GET", "POST"]),
            Route("/_simulator/reset", control.reset, methods=["POST"]),
        ]
    )


def _wrong(text: str) -> Response:
    return JSONResponse({"error": text}, status_code=400)


async def _object(request: Request) -> dict[str, Any] | None:
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Return ``{"talkdesk": {"rate": …}}`` as ``{"talkdesk.rate": …}``; the flat form stays."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= {f"{name}.{knob}": one for knob, one in value.items()} if isinstance(value, dict) else {name: value}
    return flat
