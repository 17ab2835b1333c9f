"""The simulator without sockets, and one good request of every vendor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.asgi import ConnectionDroppedError
from airflow_provider_contacts.simulator.nedzo import DEMO_LIST

if TYPE_CHECKING:
    import httpx

BEARER = {"headers": {"Authorization": "Bearer dex_ready_token"}}
BASIC = {"auth": ("demo@example.com", "demo-key")}


def ask(simulator: Simulator, method: str, path: str, **request: Any) -> httpx.Response:
    """Send one request without a socket and return its answer; not from inside an event loop.

    FIN becomes ``RemoteProtocolError``, RST ``ReadError``, and an answer that never comes ``ReadTimeout``, at once.

    :param path: from the root, e.g. ``/dex/v1/contacts/``.
    :param request: as ``httpx.AsyncClient.request`` takes it.
    """
    import httpx

    errors = {"fin": httpx.RemoteProtocolError, "rst": httpx.ReadError, "timeout": httpx.ReadTimeout}

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(simulator.app), base_url="http://simulator"
        ) as client:
            try:
                return await client.request(method, path, **request)
            except ConnectionDroppedError as error:
                raise errors[error.form](str(error)) from error

    return asyncio.run(send())


def simulated(vendor: str, **knobs: Any) -> Simulator:
    """Return a simulator with knobs of one vendor set."""
    return Simulator({f"{vendor}.{name}": value for name, value in knobs.items()})


@dataclass(frozen=True)
class Case:
    """One vendor's way to create."""

    create: str  # path below the vendor's prefix, with {place}
    wrap: Callable[[list[Any]], Any]  # records to the body of a request that creates them
    # two good ones, or one where a request holds no more; functions of the place
    records: Callable[[Any], list[dict[str, Any]]]
    place: Any
    read: str  # path of a read that needs a credential
    returned: Callable[[Any], list[dict[str, Any]]]  # the records in the answer to a create
    credential: dict[str, Any]


RECORD: dict[str, Any] = {
    "first_name": "Joey",
    "last_name": "Tribbiani",
    "phone_numbers": [{"phone_number": "+351929312319", "phone_type": "MOBILE"}],
}
CASES = {
    "intermezzo": Case(
        "/organizations/{place}/contacts/list", list, lambda _: [{"name": "A"}, {"name": "B"}], "org_demo",
        "/organizations/{place}", lambda body: body["data"], BEARER),
    "nedzo": Case(
        "/v1/contact/", lambda records: records[0],
        lambda place: [{"email": "a@b.example", "contact_list_id": place}], DEMO_LIST,
        "/v1/workspaces", lambda body: [body["data"]["contact"]], BEARER),
    "dex": Case(
        "/v1/contacts/", lambda records: {"contacts": records}, lambda _: [{"full_name": "A"}, {"full_name": "B"}], "",
        "/v1/contacts", lambda body: body["data"]["contacts"], BEARER),
    "apptoto": Case(
        "/v1/contacts", lambda records: {"contacts": records},
        lambda place: [{"name": name, "address_book_id": place} for name in "AB"], 1,
        "/v1/contacts", lambda body: body["contacts"], BASIC),
    "talkdesk": Case(
        "/record-lists/{place}/records/bulks", lambda records: {"records": records},
        lambda _: [RECORD, {**RECORD, "first_name": "Jane"}], "demo-list",
        "/record-lists/{place}/records", lambda body: body["_embedded"]["records"], BEARER),
}  # fmt: skip


def path_of(vendor: str, template: str, place: Any = None) -> str:
    """Return a path from the root, for the demo's place where none is given."""
    return f"/{vendor}{template.format(place=CASES[vendor].place if place is None else place)}"


def create(simulator: Simulator, vendor: str, *records: Any, place: Any = None, **more: Any) -> httpx.Response:
    """Create records: those given, else the good ones; ``more`` replaces parts of the request."""
    case = CASES[vendor]
    body = case.wrap(list(records) or case.records(case.place if place is None else place))
    return ask(simulator, "POST", path_of(vendor, case.create, place), **{**case.credential, "json": body, **more})


class At:
    """One vendor of a simulator of its own, with these knobs set."""

    def __init__(self, vendor: str, *, now: Callable[[], float] = time.monotonic, **knobs: Any) -> None:
        self.vendor, self.simulator = vendor, Simulator(now=now)
        self.own = self.simulator.vendors[vendor]
        self.set(**knobs)

    def set(self, **knobs: Any) -> None:
        self.simulator.update({f"{self.vendor}.{name}": value for name, value in knobs.items()})

    def create(self, *records: Any, **more: Any) -> httpx.Response:
        return create(self.simulator, self.vendor, *records, **more)

    def read(self, path: str, **more: Any) -> httpx.Response:
        """Read a path below the vendor's prefix."""
        return self.ask("GET", path, **{**CASES[self.vendor].credential, **more})

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return ask(self.simulator, method, f"/{self.vendor}/{path}", **request)

    @property
    def stored(self) -> list[dict[str, Any]]:
        """The contacts that exist, as they were received."""
        return [one.received for one in self.own.stored]
