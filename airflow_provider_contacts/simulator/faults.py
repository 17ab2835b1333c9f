"""The faults that every vendor can have: what they are, and which of them hit a request."""

from __future__ import annotations

import math
import random
from email.utils import formatdate
from typing import Any

from airflow_provider_contacts.simulator.knobs import Knob, Settings
from airflow_provider_contacts.simulator.messages import World

# Answers that can be given instead of doing anything, from 500 on as a gateway's HTML; and although all was done.
STATUSES = (400, 401, 403, 404, 408, 409, 413, 415, 422, 425, 429, 500, 502, 503, 504)
STORED_STATUSES = (408, 500, 502, 503, 504)


def _trigger(name: str, meaning: str) -> Knob:
    return Knob(name, "trigger", "never", meaning)


_PACE = (
    Knob("latency", "duration", "0ms", "wait before the request is handled; 80ms, 1s or 20ms-200ms"),
    Knob("reply_delay", "duration", "0ms", "wait after everything is stored, before the answer"),
    Knob("rate", "rate", "none", "requests a credential may send, e.g. 60/min; more get 429 and store nothing"),
    Knob("burst", "integer", "0", "requests at once after a pause; 0: as many as the rate counts"),
    Knob("retry_after", "header", "wait",
         "Retry-After of a 429: wait (true seconds), date, zero, negative, garbage, absurd, none; else sent as it is"),
    Knob("retry_after_503", "header", "none", "likewise of http_503 and store_then_503"),
)  # fmt: skip
_BEFORE = (
    _trigger("close_before_read", "close the connection before reading the body; nothing is stored"),
    _trigger("close_before_store", "read the body, store nothing, close the connection"),
    Knob("drop_form", "choice", "fin", "how a connection is closed by these faults", ("fin", "rst")),
    _trigger("hang", "read the body, store nothing, never answer"),
    _trigger("redirect", "answer a redirect, store nothing"),
    Knob("redirect_status", "status", "307", "its status"),
    Knob("redirect_to", "header", "", "its Location; empty: the same address with the slash at its end changed"),
    *(_trigger(f"http_{status}", f"answer {status} and store nothing") for status in STATUSES),
)
_STORED = (
    _trigger("store_then_drop", "store, then close the connection without an answer"),
    _trigger("store_then_hang", "store, then never answer"),
    *(_trigger(f"store_then_{status}", f"store, then answer {status} all the same") for status in STORED_STATUSES),
    Knob("store_share", "number", "1.0", "share of a batch that the store_then faults store"),
)
_REPLY = (
    _trigger("truncated", "cut the answer in half and close: fewer bytes than Content-Length says"),
    _trigger("cut_json", "cut the JSON in half; as HTTP the answer is whole"),
    _trigger("garbage", "answer bytes that are no JSON"),
    _trigger("empty_body", "answer the right status without a body"),
    _trigger("html_200", "answer 200 with a page in HTML (stored all the same)"),
    _trigger("wrong_content_type", "call the JSON text/html"),
    _trigger("short", "leave some of the returned records out of the answer"),
    Knob("short_by", "integer", "1", "how many"),
    _trigger("shuffled", "return the records in another order"),
    _trigger("foreign_record", "return one record more, which nobody sent"),
    _trigger("duplicate_ids", "return every record with the id of the first"),
    _trigger("extra_fields", "add unknown fields everywhere"),
    _trigger("nulls", "null instead of empty arrays and objects"),
    _trigger("stringly", "numbers and booleans of the answer's envelope as text"),
    _trigger("bom", "begin the answer with a byte order mark"),
    _trigger("gzip", "compress the answer, if the client accepts it"),
)
_TOKEN = (_trigger("expire_token", "revoke the token of this request and answer 401"),)

_RETRY_AFTER = {"zero": "0", "negative": "-5", "garbage": "soon", "absurd": "999999999999"}

KINDS = {"write": "", "read": "read.", "token": "token."}
"""Kinds of requests, each with its own faults and count, and what the names of its faults begin with."""


def fault_knobs(kind: str) -> dict[str, Knob]:
    """Return the faults of one kind of requests, under the names by which they are set."""
    knobs = (*_PACE, *_BEFORE, *(_STORED if kind == "write" else ()), *_REPLY, *(_TOKEN if kind != "token" else ()))
    return {f"{KINDS[kind]}{knob.name}": knob for knob in knobs}


class Faults:
    """The faults of one kind of requests to one vendor, by their own names."""

    def __init__(self, kind: str, knobs: Settings, world: World) -> None:
        self._prefix, self._knobs, self._world = KINDS[kind], knobs, world
        self._names = {name: name.removeprefix(self._prefix) for name in fault_knobs(kind)}
        self.random = random.Random(f"{knobs.seed}.{kind} faults")  # noqa: S311  # repeatable faults, not cryptography
        self.number = 0
        self._full_at: dict[str, float] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a knob's value as the code uses it."""
        return self._knobs[f"{self._prefix}{name}"]

    def reset(self) -> None:
        """Count requests from 1 again, and fill every credential's bucket."""
        self.number = 0
        self._full_at.clear()

    def draw(self) -> frozenset[str]:
        """Count a request and return the faults that hit it."""
        self.number += 1
        armed = [
            (self._names[name], trigger) for name, trigger in list(self._knobs.armed.items()) if name in self._names
        ]
        return frozenset([name for name, trigger in armed if trigger.fires(self.number)])

    def too_early(self, credential: str) -> float:
        """Return how many seconds too early this request is for the rate: 0 if it may pass, which then counts."""
        if self["rate"] is None:
            return 0.0
        count, seconds = self["rate"]
        interval: float = seconds / count
        room = (self["burst"] or max(1, math.floor(count))) * interval
        now = self._world.now()
        full_at = max(self._full_at.get(credential, now), now) + interval
        if full_at - now > room + 1e-9:
            return float(full_at - now - room)
        self._full_at[credential] = full_at
        return 0.0

    def delay(self, name: str) -> float:
        """Return the seconds to wait for ``latency`` or ``reply_delay``."""
        low, high = self[name]
        return float(low) if low == high else self.random.uniform(low, high)

    def retry_after(self, knob: str, wait: float) -> dict[str, str]:
        """Return the header, in the form that the knob asks for; a request would pass after ``wait`` seconds."""
        form, seconds = str(self[knob]), math.ceil(wait)
        if form in {"none", ""}:
            return {}
        date = formatdate(self._world.clock() + seconds, usegmt=True)
        return {"Retry-After": {**_RETRY_AFTER, "wait": str(seconds), "date": date}.get(form, form)}
