"""The five vendors as one object and one ASGI application, with ``/_simulator`` to look behind them."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_contacts.simulator.apptoto import Apptoto
from airflow_provider_contacts.simulator.asgi import (
    EXTENSION,
    GoneError,
    Receive,
    Scope,
    Send,
    is_loopback,
    read_body,
    refusal,
)
from airflow_provider_contacts.simulator.behaviour import SimulatedVendor
from airflow_provider_contacts.simulator.dex import Dex
from airflow_provider_contacts.simulator.intermezzo import Intermezzo
from airflow_provider_contacts.simulator.knobs import Knob
from airflow_provider_contacts.simulator.messages import Answer, RefusedCallError, World, parsed
from airflow_provider_contacts.simulator.nedzo import Nedzo
from airflow_provider_contacts.simulator.serving import Exchange, send_answer
from airflow_provider_contacts.simulator.talkdesk import Talkdesk

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


class Simulator:
    """Simulate the five vendors in memory, for tests and demonstrations: each under ``/<name>``.

    ``/_simulator`` shows what is stored, and sets faults. A fault or a behaviour is a knob, named ``<vendor>.<knob>``,
    ``<vendor>.read.<knob>`` or ``<vendor>.token.<knob>``; ``all`` stands for every vendor that has the knob.
    ``app`` is the ASGI application, for one event loop; :func:`~airflow_provider_contacts.simulator.server.running`
    serves it on a port. Knobs may be set from other threads.

    :param settings: knobs and their first values.
    :param seed: of every random fault: the same seed and the same requests give the same faults.
    :param forget: count contacts without keeping them, for a million of them. Reads then find nothing.
    :param hosts: names and addresses under which it answers, besides those of this machine.
    :param now: monotonic clock in seconds, for rates and tokens.
    :param clock: seconds since 1970, for time stamps.
    :param sleep: waits for a number of seconds, for latency.
    :raises ValueError: if a knob is unknown or its value is wrong.
    """

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        forget: bool = False,
        hosts: Iterable[str] = (),
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        world = World(seed, now, clock, sleep, forget)
        self.intermezzo = Intermezzo(world)
        self.nedzo = Nedzo(world)
        self.dex = Dex(world)
        self.apptoto = Apptoto(world)
        self.talkdesk = Talkdesk(world)
        own: tuple[SimulatedVendor, ...] = (self.intermezzo, self.nedzo, self.dex, self.apptoto, self.talkdesk)
        self.vendors = {vendor.name: vendor for vendor in own}
        self.hosts: set[str] = set()
        self.allow(*hosts)
        self._first_settings = dict(settings or {})
        self.update(self._first_settings)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; this is the ASGI application."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        name, slash, rest = raw.decode("latin-1").removeprefix("/").partition("/")
        served = EXTENSION in scope.get("extensions", {})
        # Without a socket nobody else can ask; and where others may, containers know the vendors by names of their own.
        open_ = name in self.vendors and (bool(self.hosts) or not served)
        try:
            if not open_ and (why := refusal(scope, self.hosts if served else {*self.hosts, "simulator"})):
                answer = Answer(403, {"error": why})
            elif name in self.vendors:
                await Exchange(self.vendors[name], slash + rest, scope, receive, send).run()
                return
            else:
                answer = await _control(self, scope, receive)
        except GoneError:
            return
        await send_answer(send, answer)

    def allow(self, *hosts: str) -> None:
        """Answer under further names or addresses of this machine, too."""
        self.hosts |= {host.lower() for host in hosts if not is_loopback(host.lower())}

    def set(self, name: str, value: Any) -> None:
        """Set one knob.

        :raises ValueError: if the knob is unknown or the value is wrong; the text says what is allowed.
        """
        self.update({name: value})

    def update(self, settings: Mapping[str, Any]) -> list[tuple[SimulatedVendor, str]]:
        """Set several knobs, or none if one of them is wrong; return those that were set.

        :raises ValueError: if a knob is unknown or a value is wrong; the text says what is allowed.
        """
        chosen = [(*found, value) for name, value in settings.items() for found in self._find(name, value)]
        for vendor, knob, value in chosen:
            vendor.set(knob, value)
        return [(vendor, knob) for vendor, knob, _ in chosen]

    def reset(self, *, knobs: bool = False) -> None:
        """Forget all contacts and requests; with ``knobs``, give every knob its first value again."""
        for vendor in self.vendors.values():
            if knobs:
                vendor.knobs.restore()
            vendor.reset()
        if knobs:
            self.update(self._first_settings)

    def connections(self, url: str) -> dict[str, dict[str, Any]]:
        """Return an Airflow connection to each vendor, by vendor: its JSON as a mapping.

        :param url: where the simulator is served, without a slash at its end.
        """
        made = {name: vendor.connection(f"{url}/{name}") for name, vendor in self.vendors.items()}
        if not is_loopback(urlsplit(url).hostname or ""):
            for connection in made.values():
                connection["extra"] = {**connection.get("extra", {}), "allow_http": True}
        return made

    def all_knobs(self) -> Iterator[tuple[str, Knob]]:
        """Yield every knob with its full name."""
        for vendor in self.vendors.values():
            for name, knob in vendor.knobs.knobs.items():
                yield f"{vendor.name}.{name}", knob

    def _find(self, name: str, value: Any) -> list[tuple[SimulatedVendor, str]]:
        """Return every vendor that a knob's whole name means; the value is checked with each."""
        word, _, knob = name.partition(".")
        knob = knob.removeprefix("write.")
        meant = [vendor for vendor in self.vendors.values() if word in {"all", vendor.name}]
        found = [vendor for vendor in meant if knob in vendor.knobs.knobs]
        if not found:
            names = [known for known, _ in self.all_knobs()]
            names += sorted({f"all.{known.partition('.')[2]}" for known in names})
            near = [f"all.{name}"] if f"all.{name}" in names else difflib.get_close_matches(name, names, 3, 0.5)
            raise ValueError(f"there is no knob {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
        try:
            for vendor in found:
                vendor.knobs.read(knob, value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return [(vendor, knob) for vendor in found]


async def _control(simulator: Simulator, scope: Scope, receive: Receive) -> Answer:
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
