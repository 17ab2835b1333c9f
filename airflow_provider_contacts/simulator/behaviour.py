"""What all simulated vendors have in common: routes, knobs, the contacts that exist, the requests that came."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, MutableSequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn
from urllib.parse import unquote

from airflow_provider_contacts.simulator.faults import KINDS, Faults, fault_knobs
from airflow_provider_contacts.simulator.knobs import Knob, Settings
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, Route, Seen, Stored, World
from airflow_provider_contacts.simulator.oauth import Tokens, oauth_error

REMEMBERED_REQUESTS = 1000  # where contacts are only counted


def common_knobs(slash: str, reject: str) -> tuple[Knob, ...]:
    """Return the knobs that every vendor has; ``reject`` says what a hit of ``reject`` leads to at this vendor."""
    return (
        Knob("reject", "patterns", "", f"field~regex, or a JSON list of them: records that are refused; {reject}"),
        Knob("credential", "texts", "",
             "the ones accepted, key or login:password, with commas; several are an account each, which reads its own"
             " contacts; empty: any of the right form"),
        Knob("slash", "choice", slash,
             "what the other form of a path, with or without the slash at its end, does [UNKNOWN]",
             ("redirect", "404", "accept")),
        Knob("max_body", "integer", "10000000", "bytes a request may have; more get 413 [UNKNOWN]"),
        Knob("read_lag", "number", "0", "seconds until a new contact shows in reads [UNKNOWN]"),
    )  # fmt: skip


class SimulatedVendor(ABC):
    """One vendor's server without its socket; ``stored`` and ``requests`` are in the order of their arrival."""

    name: ClassVar[str]
    knob_list: ClassVar[tuple[Knob, ...]]
    routes: ClassVar[tuple[Route, ...]]
    any_credential: ClassVar[str]  # one of the right form, for ready connections
    challenge: ClassVar[str] = ""  # WWW-Authenticate of a 401
    list_keys: ClassVar[tuple[str, ...]] = ()  # under which an answer may hold its records
    place_knob: ClassVar[str] = ""  # names the vendor's places: organizations, lists, books
    place_id: ClassVar[type] = str

    def __init__(self, world: World) -> None:
        self.world = world
        knobs = {knob.name: knob for knob in self.knob_list}
        for kind in KINDS:
            knobs |= fault_knobs(kind)
        self.knobs = Settings(knobs, f"{world.seed}.{self.name}")
        self.faults = {kind: Faults(kind, self.knobs, world) for kind in KINDS}
        self.tokens = Tokens(self.name, world, self.knobs)
        templates = [(route, re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.template)) for route in self.routes]
        self._patterns = [(route, re.compile(template)) for route, template in templates]
        self._ids = self.account = 0
        self.reset()

    @abstractmethod
    def authorize(self, call: Call) -> int:
        """Return whose account the credential of a request opens; raise where it may not do this."""

    @abstractmethod
    def _refuse(self, error: RefusedCallError) -> Answer:
        """Return the vendor's own form of a refusal."""

    def records_in(self, payload: Any) -> list[Any] | None:
        """Return the list of records in an answer, the very list, ``None`` if it has none."""
        for outer in ("data", "_embedded"):
            if isinstance(payload, dict) and isinstance(payload.get(outer), dict):
                payload = payload[outer]
        if isinstance(payload, dict):
            payload = next((payload[key] for key in self.list_keys if isinstance(payload.get(key), list)), None)
        return payload if isinstance(payload, list) else None

    def connection(self, url: str) -> dict[str, Any]:
        """Return a ready Airflow connection to this vendor, served under ``url``; it names the first place."""
        login, colon, password = next(iter(self.knobs["credential"]), self.any_credential).partition(":")
        made: dict[str, Any] = {"conn_type": self.name, "host": url}
        made |= {"login": login, "password": password} if colon else {"password": login}
        extra = {"token_url": f"{url}/oauth/token"} if any(route.kind == "token" for route in self.routes) else {}
        if self.place_knob:  # record_lists -> record_list_id
            extra[f"{self.place_knob.removesuffix('s')}_id"] = next(iter(self.places), "")
        return made | ({"extra": extra} if extra else {})

    def account_of(self, credential: str, text: str, *, fits: bool) -> int:
        """Return whose account a credential opens, 0 for the one account of all; refuse (401) one that does not fit."""
        demanded = self.knobs["credential"]
        if not (credential in demanded if demanded else fits):
            raise RefusedCallError(401, text)
        return demanded.index(credential) + 1 if len(demanded) > 1 else 0

    def client_account(self, client: str, error: str, text: str) -> int:
        """Return whose account a client of the token endpoint opens; raise the OAuth error if it is not accepted."""
        try:
            return self.account_of(client, text, fits=not client.startswith(":") and not client.endswith(":"))
        except RefusedCallError:
            raise oauth_error(401, error, text) from None

    def shelf(self, place: str) -> str:
        """Return the key of a place's contacts in the present account."""
        return f"{place} (account {self.account})" if self.account else place

    def reset(self) -> None:
        """Forget all contacts, requests and tokens; knobs stay, and ids go on."""
        self.stored: list[Stored] = []
        self.by_id: dict[str | int, Stored] = {}
        self.requests: MutableSequence[Seen] = deque(maxlen=REMEMBERED_REQUESTS) if self.world.forget else []
        self.counts: Counter[str] = Counter()
        self.count_by_place: Counter[str] = Counter()
        for faults in self.faults.values():
            faults.reset()
        self.by_key: dict[Any, Any] = {}  # what a vendor keeps of contacts beside them, to find or refuse others
        self.tokens.given.clear()
        self._open_places()

    def _open_places(self) -> None:
        named = self.knobs[self.place_knob] if self.place_knob else {}
        self.places: dict[Any, str] = {self.place_id(id_): name for id_, name in named.items()}

    def match(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | RefusedCallError:
        """Return the endpoint behind a path and the decoded names in it, or why there is none."""
        other_method = False
        for route, pattern in self._patterns:
            if (found := pattern.fullmatch(path)) and (not route.knob or self.knobs[route.knob]):
                if route.method == method:
                    return route, {name: unquote(value) for name, value in found.groupdict().items()}
                other_method = True
        return RefusedCallError(405, "Method Not Allowed") if other_method else RefusedCallError(404, "Not Found")

    def refusal(self, error: RefusedCallError) -> Answer:
        """Return the answer to a request that is refused."""
        answer = error.answer or self._refuse(error)
        if error.status == HTTPStatus.UNAUTHORIZED and self.challenge and not error.answer:
            answer.headers["WWW-Authenticate"] = self.challenge
        return answer

    def store(self, call: Call, received: dict[str, Any], place: str, id_: str | int, view: dict[str, Any]) -> None:
        """Keep one new contact, or count it."""
        call.stored += 1
        self.counts["stored"] += 1
        self.count_by_place[self.shelf(place)] += 1
        if self.world.forget:
            return
        contact = Stored(id_, received, place, call.number, view, self.world.now(), self.account)
        self.stored.append(contact)
        self.by_id[id_] = contact

    def readable(self, contacts: Iterable[Stored]) -> list[Stored]:
        """Return the contacts of the present account that reads show already."""
        until = self.world.now() - self.knobs["read_lag"]
        return [one for one in contacts if one.at <= until and one.account == self.account]

    def in_place(self, place: str) -> list[dict[str, Any]]:
        """Return what is shown of the readable contacts of a place."""
        return [one.view for one in self.readable(self.stored) if one.place == place]

    def readable_by_id(self, id_: str | int) -> Stored:
        """Return the contact of an id, if it may be read; raise 404 where there is none."""
        for contact in self.readable([self.by_id[id_]] if id_ in self.by_id else []):
            return contact
        raise RefusedCallError(404, "Contact not found")

    def duplicates(self, field: str | None = None) -> dict[str, int]:
        """Return each value that several contacts have in a field, at any depth, and how many; without: whole ones."""
        seen: Counter[str] = Counter()
        for one in self.stored:
            seen.update(_values(one.received, field) if field else {json.dumps(one.received, sort_keys=True)})
        return {value: count for value, count in seen.items() if count > 1}

    def state(self) -> dict[str, Any]:
        """Return the counts: requests by kind, records received, contacts stored and updated, by place."""
        return {
            "requests": {kind: self.counts[kind] for kind in KINDS},
            **{name: self.counts[name] for name in ("received", "stored", "updated")},
            "by_place": dict(self.count_by_place),
        }

    def unrefused(self, contacts: list[Any], status: str, keep: Callable[[Any], Any]) -> tuple[list[Any], bool]:
        """Return the contacts that the ``reject`` knob leaves, and whether it hits any; a status refuses the batch."""
        refused = [index for index, contact in enumerate(contacts) if self.rejected(contact)]
        if refused and status.isdecimal():
            for contact in [] if self.knobs["atomic"] else contacts[: refused[0]]:
                keep(contact)
            self.refuse_batch(int(status), refused[0], "is refused")
        bad = set(refused)
        return [contact for index, contact in enumerate(contacts) if index not in bad], bool(bad)

    def refuse_batch(self, status: int, index: int, text: str) -> NoReturn:
        """Refuse a whole batch for one contact, named if the knob ``name_culprit`` says so."""
        raise RefusedCallError(status, f"contacts[{index}] {text}" if self.knobs["name_culprit"] else "Invalid contact")

    def rejected(self, record: dict[str, Any]) -> bool:
        """Tell whether the ``reject`` knob hits a record."""
        return any(pattern.hits(record) for pattern in self.knobs["reject"])

    def new_uuid(self) -> str:
        """Return an id in the form of a UUID that this simulator never gave before."""
        self._ids += 1
        return f"{self.world.seed & 0xFFFFFFFF:08x}-{len(self.name):04x}-4000-8000-{self._ids:012x}"

    def new_number(self) -> int:
        """Return a number that this simulator never gave before."""
        self._ids += 1
        return 1000 + self._ids

    def moment(self) -> str:
        """Return the present time as ISO 8601 text."""
        return datetime.fromtimestamp(self.world.clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def set(self, name: str, value: Any) -> None:
        """Set one knob."""
        self.knobs.set(name, value)
        if name == self.place_knob:
            self._open_places()


def _values(value: Any, field: str) -> set[str]:
    if isinstance(value, list):
        return set().union(*(_values(item, field) for item in value))
    if not isinstance(value, dict):
        return set()
    own = {str(item) for name, item in value.items() if name == field and not isinstance(item, (dict, list))}
    return own.union(*(_values(item, field) for item in value.values()))
