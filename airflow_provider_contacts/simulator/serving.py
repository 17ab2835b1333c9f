"""One request from its first byte to its last: the faults before, the vendor, the faults after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from airflow_provider_contacts.simulator import replies
from airflow_provider_contacts.simulator.airflow_connections import Receive, Scope, Send, drop, hang
from airflow_provider_contacts.simulator.behaviour import SimulatedVendor
from airflow_provider_contacts.simulator.faults import STATUSES, STORED_STATUSES, Faults
from airflow_provider_contacts.simulator.guard import GoneError, read_body
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, Route, Seen


class Exchange:
    """One request to one vendor.

    :param path: below the vendor's prefix, percent-encoded.
    :param sleep: waits so many seconds.
    """

    def __init__(
        self,
        vendor: SimulatedVendor,
        path: str,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.vendor = vendor
        self.scope = scope
        self.receive = receive
        self.send = send
        self.sleep = sleep
        self.target, self.elsewhere = _find(vendor, scope["method"], path)
        if isinstance(self.target, tuple):
            self.kind = self.target[0].kind
        else:
            self.kind = "read" if scope["method"] in {"GET", "HEAD"} else "write"
        self.faults: Faults = vendor.faults[self.kind]
        self.fired = self.faults.draw()
        vendor.counts[self.kind] += 1
        number = sum(vendor.counts[kind] for kind in vendor.faults)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        base = f"{scope['scheme']}://{headers.get('host', '127.0.0.1')}/{vendor.name}"
        self.call = Call(number, scope["method"], path, nth=self.faults.number, headers=headers, base=base)
        if scope["query_string"]:
            self.call.query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))

    async def run(self) -> None:
        """Serve the request."""
        if "close_before_read" in self.fired:
            await self._drop()
            return
        try:
            body = await read_body(self.receive, self.vendor.knobs["max_body"])
        except GoneError:
            self._note(0)
            raise
        if body is None:
            self.target = RefusedCallError(413, "Request body too large")
        self.call.body = body or b""
        if delay := self.faults.delay("latency"):
            await self.sleep(delay)
        if "close_before_store" in self.fired:
            await self._drop()
        elif "hang" in self.fired:
            self._note(0)
            await hang(self.scope, self.receive)
        elif early := self._instead():
            await self._answer(early)
        else:
            await self._served(self._handled())

    def _handled(self) -> Answer:
        """Let the vendor answer, and store what it stores."""
        if self.elsewhere:
            return Answer(307, headers={"Location": self.elsewhere})
        if isinstance(self.target, RefusedCallError):
            answer = self.vendor.refuse(self.target)
            if self.target.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:  # the rest of it may still be on its way
                answer.headers["Connection"] = "close"
            return answer
        if any(name.startswith("store_then") for name in self.fired):
            self.call.share = self.faults["store_share"]
        route, self.call.params = self.target
        answer = self.vendor.handle(route, self.call)
        self.vendor.counts["received"] += self.call.received
        return answer

    async def _served(self, answer: Answer) -> None:
        if delay := self.faults.delay("reply_delay"):
            await self.sleep(delay)
        if "store_then_drop" in self.fired:
            await self._drop()
        elif "store_then_hang" in self.fired:
            self._note(0)
            await hang(self.scope, self.receive)
        else:
            await self._answer(self._all_the_same() or self._changed(answer))

    def _instead(self) -> Answer | None:
        """Return what is answered without doing anything, if a fault or the rate says so."""
        wait = self.faults.too_early(self.call.headers.get("authorization", ""))
        if not self.fired and not wait:
            return None
        if "redirect" in self.fired:
            return self._redirected()
        if wait:
            return self._refused(429, wait)
        if "expire_token" in self.fired:
            self.vendor.tokens.revoke(self.call)
            return self._refused(401, 1)
        return next((self._refused(status, 1) for status in STATUSES if f"http_{status}" in self.fired), None)

    def _all_the_same(self) -> Answer | None:
        """Return the failure that is answered although everything is stored, if a fault says so."""
        if not self.fired:
            return None
        if "html_200" in self.fired:
            return replies.gateway_page(200)
        return next((self._refused(code, 1) for code in STORED_STATUSES if f"store_then_{code}" in self.fired), None)

    def _refused(self, status: int, wait: float) -> Answer:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            answer = replies.gateway_page(status)
        else:
            answer = self.vendor.refuse(RefusedCallError(status, HTTPStatus(status).phrase))
        knob = {429: "retry_after", 503: "retry_after_503"}.get(status)
        if knob:
            answer.headers |= self.faults.retry_after(knob, wait)
        return answer

    def _redirected(self) -> Answer:
        settings = self.faults
        to = settings["redirect_to"] or f"{self.call.base}{_other_slash(self.call.path)}"
        return Answer(settings["redirect_status"], headers={"Location": to})

    def _changed(self, answer: Answer) -> Answer:
        if not self.fired or answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            return answer
        records = self.vendor.records_in(answer.payload)
        if records is not None:
            replies.change_records(records, self.fired, self.faults["short_by"], self.faults.random)
        answer.payload = replies.change_envelope(answer.payload, self.fired)
        return answer

    async def _drop(self) -> None:
        self._note(0)
        await drop(self.scope, self.receive, self.faults["drop_form"])

    async def _answer(self, answer: Answer) -> None:
        made = replies.to_bytes(answer, self.fired, accepts_gzip="gzip" in self.call.headers.get("accept-encoding", ""))
        self._note(made.status)
        await send_bytes(self.send, made)
        if made.cut:
            await drop(self.scope, self.receive, self.faults["drop_form"])

    def _note(self, status: int) -> None:
        call = self.call
        seen = Seen(
            number=call.number,
            kind=self.kind,
            method=call.method,
            path=call.path,
            status=status,
            received=call.received,
            stored=call.stored,
            faults=tuple(sorted(self.fired)),
            at=self.vendor.world.clock(),
        )
        self.vendor.requests.append(seen)


async def send_bytes(send: Send, made: replies.Bytes) -> None:
    """Write an answer; after one that is cut, the connection is to be closed."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in made.headers.items()]
    headers.append((b"Content-Length", str(made.length).encode()))
    await send({"type": "http.response.start", "status": made.status, "headers": headers})
    await send({"type": "http.response.body", "body": made.body, "more_body": made.cut})


Target = tuple[Route, Mapping[str, str]] | RefusedCallError


def _find(vendor: SimulatedVendor, method: str, path: str) -> tuple[Target, str]:
    """Return the endpoint, and where a path in the other form of its slash is redirected to, if it is."""
    target = vendor.match(method, path)
    if isinstance(target, tuple):
        return target, ""
    other = _other_slash(path)
    if isinstance(vendor.match(method, other), RefusedCallError) or vendor.knobs["slash"] == "404":
        return target, ""
    if vendor.knobs["slash"] == "accept":
        return vendor.match(method, other), ""
    return target, f"/{vendor.name}{other}"


def _other_slash(path: str) -> str:
    return path.removesuffix("/") if path.endswith("/") else f"{path}/"
