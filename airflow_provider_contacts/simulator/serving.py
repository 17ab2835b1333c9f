"""One request from its first byte to its last: the faults before, the vendor, the faults after."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from airflow_provider_contacts.simulator.asgi import GoneError, Receive, Scope, Send, drop, read_body
from airflow_provider_contacts.simulator.behaviour import SimulatedVendor
from airflow_provider_contacts.simulator.faults import STATUSES, STORED_STATUSES, Faults
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, Route, Seen, gateway_page
from airflow_provider_contacts.simulator.oauth import credential_of

GARBAGE = b'\x00\xff\xfe{"id": '
Target = tuple[Route, Mapping[str, str]] | RefusedCallError


class Exchange:
    """One request to one vendor; ``path`` is below the vendor's prefix, percent-encoded."""

    def __init__(self, vendor: SimulatedVendor, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        self.vendor, self.scope, self.receive, self.send = vendor, scope, receive, send
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
        if form := self._closed("close_before_read"):
            await self._unanswered(form)
            return
        try:
            body = await read_body(self.receive, self.vendor.knobs["max_body"])
        except GoneError:
            self._remember(0)
            raise
        if body is None:
            self.target = RefusedCallError(413, "Request body too large")
        self.call.body = body or b""
        if delay := self.faults.delay("latency"):
            await self.vendor.world.sleep(delay)
        if form := self._closed("close_before_store", "hang"):
            await self._unanswered(form)
        elif early := self._instead():
            await self._answer(early)
        else:
            await self._served(self._handled())

    async def _served(self, answer: Answer) -> None:
        if delay := self.faults.delay("reply_delay"):
            await self.vendor.world.sleep(delay)
        if form := self._closed("store_then_drop", "store_then_hang"):
            await self._unanswered(form)
        elif "html_200" in self.fired:
            await self._answer(gateway_page(200))
        else:
            await self._answer(self._status("store_then_", STORED_STATUSES) or self._changed(answer))

    def _closed(self, *faults: str) -> str:
        """Return how the connection is closed without an answer, empty if none of the faults hits."""
        hit = next((fault for fault in faults if fault in self.fired), "")
        return "timeout" if hit.endswith("hang") else str(self.faults["drop_form"]) if hit else ""

    def _handled(self) -> Answer:
        """Let the vendor answer, and store what it stores."""
        if self.elsewhere:
            return Answer(307, headers={"Location": self.elsewhere})
        if isinstance(self.target, RefusedCallError):
            answer = self.vendor.refusal(self.target)
            if self.target.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:  # the rest of it may still be on its way
                answer.headers["Connection"] = "close"
            return answer
        if any(name.startswith("store_then") for name in self.fired):
            self.call.share = self.faults["store_share"]
        route, self.call.params = self.target
        try:
            if route.kind != "token":
                self.vendor.account = self.vendor.authorize(self.call)
            answer = route.handler(self.vendor, self.call)
        except RefusedCallError as error:
            answer = self.vendor.refusal(error)
        self.vendor.counts["received"] += self.call.received
        return answer

    def _instead(self) -> Answer | None:
        """Return what is answered without doing anything, if a fault or the rate says so."""
        wait = self.faults.too_early(self.call.headers.get("authorization", ""))
        if "redirect" in self.fired:
            to = self.faults["redirect_to"] or f"{self.call.base}{_other_slash(self.call.path)}"
            return Answer(self.faults["redirect_status"], headers={"Location": to})
        if wait:
            return self._refused(429, wait)
        if "expire_token" in self.fired:
            self.vendor.tokens.given.pop(credential_of(self.call), None)
            return self._refused(401)
        return self._status("http_", STATUSES)

    def _status(self, prefix: str, statuses: tuple[int, ...]) -> Answer | None:
        """Return the failure that a fault asks for."""
        hit = [status for status in statuses if f"{prefix}{status}" in self.fired] if self.fired else []
        return self._refused(hit[0]) if hit else None

    def _refused(self, status: int, wait: float = 1.0) -> Answer:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            answer = gateway_page(status)
        else:
            answer = self.vendor.refusal(RefusedCallError(status, HTTPStatus(status).phrase))
        if knob := {429: "retry_after", 503: "retry_after_503"}.get(status):
            answer.headers |= self.faults.retry_after(knob, wait)
        return answer

    def _changed(self, answer: Answer) -> Answer:
        if not self.fired or answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            return answer
        if (records := self.vendor.records_in(answer.payload)) is not None:
            _change_records(records, self.fired, self.faults["short_by"], self.faults.random)
        answer.payload = _changed_envelope(answer.payload, self.fired)
        return answer

    async def _unanswered(self, form: str) -> None:
        self._remember(0)
        await drop(self.scope, self.receive, form)

    async def _answer(self, answer: Answer) -> None:
        self._remember(answer.status)
        accepts_gzip = "gzip" in self.call.headers.get("accept-encoding", "")
        if await send_answer(self.send, answer, self.fired, accepts_gzip=accepts_gzip):
            await drop(self.scope, self.receive, self.faults["drop_form"])

    def _remember(self, status: int) -> None:
        call, at, fired = self.call, self.vendor.world.clock(), tuple(sorted(self.fired))
        seen = Seen(call.number, self.kind, call.method, call.path, status, call.received, call.stored, fired, at)
        self.vendor.requests.append(seen)


async def send_answer(
    send: Send, answer: Answer, fired: frozenset[str] = frozenset(), *, accepts_gzip: bool = False
) -> bool:
    """Write an answer, damaged as the faults ask; return whether it is cut: then the connection is to be closed."""
    body = _body(answer)
    if answer.status < HTTPStatus.MULTIPLE_CHOICES:
        body = _damaged(body, fired)
    headers = dict(answer.headers)
    if body or answer.payload is not None:
        wrong = "wrong_content_type" in fired and answer.content_type == "application/json"
        headers["Content-Type"] = "text/html; charset=utf-8" if wrong else answer.content_type
    if "gzip" in fired and accepts_gzip:
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(body))
    cut = "truncated" in fired and len(body) > 1
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body[: len(body) // 2] if cut else body, "more_body": cut})
    return cut


def _body(answer: Answer) -> bytes:
    if answer.payload is None:
        return b""
    if answer.content_type.startswith("text/"):
        return str(answer.payload).encode()
    return json.dumps(answer.payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _find(vendor: SimulatedVendor, method: str, path: str) -> tuple[Target, str]:
    """Return the endpoint, and where a path in the other form of its slash is redirected to."""
    target = vendor.match(method, path)
    if isinstance(target, tuple):
        return target, ""
    other = vendor.match(method, _other_slash(path))
    if isinstance(other, RefusedCallError) or vendor.knobs["slash"] == "404":
        return target, ""
    return (other, "") if vendor.knobs["slash"] == "accept" else (target, f"/{vendor.name}{_other_slash(path)}")


def _other_slash(path: str) -> str:
    return path.removesuffix("/") if path.endswith("/") else f"{path}/"


def _change_records(records: list[Any], fired: frozenset[str], short_by: int, source: random.Random) -> None:
    """Leave out, add, re-order or mislabel returned records: in place, but without changing one."""
    if "duplicate_ids" in fired and records:
        records[:] = [{**record, "id": records[0].get("id")} for record in records]
    if "foreign_record" in fired and records:
        stranger = {name: f"{value} x" if isinstance(value, str) else value for name, value in records[0].items()}
        records.append({**stranger, "id": f"foreign-{source.randrange(10**9)}"})
    if "short" in fired:
        for _ in range(min(short_by, len(records))):
            records.pop(source.randrange(len(records)))
    if "shuffled" in fired:
        source.shuffle(records)
    if "extra_fields" in fired:
        records[:] = [{**record, "x_revision": 7, "x_meta": {"a": [1]}} for record in records]


def _changed_envelope(payload: Any, fired: frozenset[str]) -> Any:
    if isinstance(payload, dict):
        if "stringly" in fired:
            scalars = {name: value for name, value in payload.items() if isinstance(value, (int, float))}
            payload |= {name: str(value).lower() for name, value in scalars.items()}
        if "extra_fields" in fired:
            payload = {**payload, "x_request_id": "0c1d", "x_debug": None}
    return _nulled(payload) if "nulls" in fired else payload


def _damaged(body: bytes, fired: frozenset[str]) -> bytes:
    if "garbage" in fired:
        return GARBAGE
    if "empty_body" in fired:
        return b""
    if "cut_json" in fired:
        return body[: len(body) // 2]
    return b"\xef\xbb\xbf" + body if "bom" in fired else body


def _nulled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _nulled(item) for name, item in value.items()} or None
    if isinstance(value, list):
        return [_nulled(item) for item in value] or None
    return value
