"""Apptoto: a list in, the list of those created out; what is not in it has no reason given.

Sources: apidocs.apptoto.com/reference/v1eventstest (SEED: fields and rules), and a client that ran for years (fields,
numbers by country, lookup by external id, paging, the broken filter, bad gateways on large batches: FOUND).
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from airflow_provider_contacts.simulator.behaviour import SimulatedVendor, common_knobs
from airflow_provider_contacts.simulator.checks import first_problem, rows, shape
from airflow_provider_contacts.simulator.knobs import Knob, choice
from airflow_provider_contacts.simulator.messages import (
    Answer,
    Call,
    RefusedCallError,
    Route,
    Stored,
    gateway_page,
    listed,
)
from airflow_provider_contacts.simulator.oauth import basic_of

PHONE_COUNTRIES = {"US": ("1", 10), "GB": ("44", 10), "DE": ("49", 11), "PT": ("351", 9)}
"""Country to its calling code and the usual count of national digits."""

LARGEST_PAGE = 200
MISSING = "param is missing or the value is empty: contacts"

KNOBS = (
    Knob("address_books", "places", "1=Demo", "those that exist at the start: id=name or id, with commas",
         form=(r"[1-9][0-9]{0,8}", "a whole number from 1")),
    *common_knobs("404", "as reject_form says"),
    choice("reject_form",
           "how the vendor says no to a contact [UNKNOWN]: a status for the whole batch, or silently left out",
           "400", "422", "drop"),
    Knob("name_culprit", "boolean", "false", "whether a 4xx names the contact that caused it [UNKNOWN]"),
    Knob("atomic", "boolean", "true", "whether a 4xx stores nothing; false: what stood before the culprit [UNKNOWN]"),
    Knob("drop_contacts", "number", "0", "chance of each contact to be silently left out"),
    choice("error_body", "form of a 4xx [UNKNOWN]", "json", "text", "message"),
    Knob("auto_create_books", "boolean", "true", "an unknown address_book is made; false: 400 [SEED]"),
    choice("both_books", "address_book and address_book_id together [UNKNOWN]", "id", "name", "400"),
    Knob("unknown_book_status", "status", "404", "answer to an address_book_id that does not exist [UNKNOWN]"),
    choice("both_phones", "phone and phone_numbers together [UNKNOWN]", "accept", "400"),
    choice("known_external_id", "POST of an external_id that exists [UNKNOWN]", "duplicate", "update", "reject"),
    Knob("echo_external_id", "boolean", "true", "whether contacts show their external_id [INFERRED]"),
    choice("country", "country by which national numbers are normalised", *PHONE_COUNTRIES),
    Knob("gateway_limit", "integer", "0", "more contacts a request end in a 502; 0: none do [FOUND for events]"),
    choice("gateway_stores", "what such a request stores [UNKNOWN]", "all", "none", "half"),
    Knob("max_batch", "integer", "0", "contacts a request may hold; 0: no limit; more get 413 [UNKNOWN]"),
    Knob("book_filter_works", "boolean", "false", "whether GET contacts honours address_book_id [FOUND: it did not]"),
    Knob("absent_status", "status", "404", "answer to GET contact for one that is not there [FOUND: not 200]"),
)  # fmt: skip

TEXTS = ("address_book", "name", "first_name", "last_name", "phone", "email", "external_id")
ROWS = {"phone_numbers": rows(shape({"number": str}, {})), "email_addresses": rows(shape({"address": str}, {}))}
CONTACT = shape({}, {"address_book_id": int, **dict.fromkeys(TEXTS, str), **ROWS})


def _fault(contact: Any, *, both_phones: bool) -> str:
    if fault := first_problem(CONTACT, contact):
        return fault
    if contact.keys().isdisjoint({"address_book", "address_book_id"}):
        return "needs address_book or address_book_id"
    if not contact.get("name") and not (contact.get("first_name") and contact.get("last_name")):
        return "needs name, or first_name and last_name"
    return "" if both_phones or not {"phone", "phone_numbers"} <= contact.keys() else "phone and phone_numbers given"


def normalised(number: str, country: str) -> str | None:
    """Return a number as E.164, national ones by the country; ``None`` for what cannot be one."""
    code, length = PHONE_COUNTRIES[country]
    plain = "".join(filter(str.isdigit, number))
    if number.strip().startswith("+"):
        return f"+{plain}" if plain else None
    national = plain.removeprefix("0")
    if len(national) == length + len(code) and national.startswith(code):
        return f"+{national}"
    return f"+{code}{national}" if 0 < len(national) <= length else None


def shown(contact: dict[str, Any], country: str) -> dict[str, Any]:
    """Return what the vendor shows of the fields that were sent."""
    full = contact.get("name") or f"{contact.get('first_name', '')} {contact.get('last_name', '')}".strip()
    numbers = _rows(contact, "phone_numbers", "phone", "number")
    phones = [{**row, "normalized": normalised(row["number"], country)} for row in numbers]
    return {
        "name": full,
        "phone_numbers": phones,
        "email_addresses": _rows(contact, "email_addresses", "email", "address"),
    }


def _rows(contact: dict[str, Any], many: str, one: str, key: str) -> list[dict[str, Any]]:
    first = [{key: contact[one], "is_primary": True}] if contact.get(one) else []
    return [*first, *contact.get(many, [])]


class Apptoto(SimulatedVendor):
    """Apptoto's server."""

    name = "apptoto"
    knob_list = KNOBS
    list_keys = ("contacts", "address_books")
    any_credential = "demo@example.com:demo-key"
    challenge = 'Basic realm="Apptoto"'
    place_knob = "address_books"
    place_id = int

    def authorize(self, call: Call) -> int:  # noqa: D102  # as of every vendor
        user, password = basic_of(call)
        return self.account_of(f"{user}:{password}", "HTTP Basic: Access denied.", fits=bool(user and password))

    def _refuse(self, error: RefusedCallError) -> Answer:
        if error.status == HTTPStatus.BAD_GATEWAY:
            return gateway_page(502)
        if self.knobs["error_body"] == "text":
            return Answer(error.status, error.message, content_type="text/plain")
        return Answer(error.status, {"error" if self.knobs["error_body"] == "json" else "message": error.message})

    def _create(self, call: Call) -> Answer:
        contacts = self._contacts(call)
        good, _ = self.unrefused(contacts, self.knobs["reject_form"], partial(self._keep, call))
        if chance := self.knobs["drop_contacts"]:
            good = [contact for contact in good if self.faults["write"].random.random() >= chance]
        too_many = 0 < self.knobs["gateway_limit"] < len(contacts)
        if too_many:
            good = good[: {"all": len(good), "none": 0, "half": len(good) // 2}[self.knobs["gateway_stores"]]]
        views = [self._keep(call, contact) for contact in call.portion(good)]
        if too_many:
            raise RefusedCallError(502, "Bad Gateway")
        return Answer(200, {"contacts": views})

    def _contacts(self, call: Call) -> list[dict[str, Any]]:
        contacts = listed(call, "contacts", MISSING)
        if 0 < self.knobs["max_batch"] < len(contacts):
            raise RefusedCallError(413, "Request Entity Too Large")
        for index, contact in enumerate(contacts):
            if text := _fault(contact, both_phones=self.knobs["both_phones"] == "accept"):
                self.refuse_batch(400, index, text)
        for contact in contacts:
            self._check_book(contact)
        return contacts

    def _check_book(self, contact: dict[str, Any]) -> None:
        if {"address_book_id", "address_book"} <= contact.keys() and self.knobs["both_books"] == "400":
            raise RefusedCallError(400, "address_book and address_book_id given")
        if self._by_id(contact):
            if contact["address_book_id"] not in self.places:
                raise RefusedCallError(self.knobs["unknown_book_status"], "Address book not found")
        elif contact["address_book"] not in self.places.values() and not self.knobs["auto_create_books"]:
            raise RefusedCallError(400, "Address book not found")

    def _by_id(self, contact: dict[str, Any]) -> bool:
        """Tell whether the contact's address book is named by its id."""
        return "address_book_id" in contact and not ("address_book" in contact and self.knobs["both_books"] == "name")

    def rejected(self, record: dict[str, Any]) -> bool:
        """Tell whether a knob has the vendor say no to a record."""
        known = self.knobs["known_external_id"] == "reject" and self._known(record.get("external_id"))
        return bool(known) or super().rejected(record)

    def _keep(self, call: Call, contact: dict[str, Any]) -> dict[str, Any]:
        external = contact.get("external_id")
        existing = self._known(external)
        if existing and self.knobs["known_external_id"] == "update":
            # What is sent replaces what is there, lists as a whole (FOUND for PUT).
            self.counts["updated"] += 1
            sent = {name: value for name, value in shown(contact, self.knobs["country"]).items() if value}
            existing[0].view = existing[0].view | sent
            return existing[0].view
        if self._by_id(contact):
            book = contact["address_book_id"]
        else:
            name, new = contact["address_book"], max(self.places, default=0) + 1
            book = next((book for book, title in self.places.items() if title == name), new)
            self.places.setdefault(book, name)
        view = {"id": self.new_number(), "address_book_id": book, **shown(contact, self.knobs["country"])}
        if self.knobs["echo_external_id"]:
            view["external_id"] = external
        self.store(call, contact, str(book), view["id"], view)
        if external and not self.world.forget:
            self.by_key.setdefault(self.shelf(external), []).append(self.stored[-1])
        return view

    def _known(self, external: Any) -> list[Stored]:
        return self.by_key.get(self.shelf(str(external)), []) if external else []

    def _read_one(self, call: Call) -> Answer:
        known = self.readable(self._known(call.query.get("external_id")))
        number = call.number_of("id", 0)
        known = known or self.readable([self.by_id[number]] if number in self.by_id else [])
        if not known:
            raise RefusedCallError(self.knobs["absent_status"], "Not Found")
        return Answer(200, known[0].view)

    def _read_page(self, call: Call) -> Answer:
        if self.knobs["book_filter_works"] and "address_book_id" in call.query:
            views = self.in_place(call.query["address_book_id"])
        else:
            views = [contact.view for contact in self.readable(self.stored)]
        size, page = call.number_of("page_size", LARGEST_PAGE, LARGEST_PAGE), call.number_of("page", 1)
        return Answer(200, {"contacts": views[(page - 1) * size : page * size]})

    def _read_books(self, _: Call) -> Answer:
        types = {"phone_types": ["mobile", "home", "work"], "email_types": ["home", "work"]}
        return Answer(200, {"address_books": [{"id": id_, "name": name, **types} for id_, name in self.places.items()]})

    routes = (
        Route("POST", "/v1/contacts", "write", _create),
        Route("GET", "/v1/contact", "read", _read_one),
        Route("GET", "/v1/contacts", "read", _read_page),
        Route("GET", "/v1/address_books", "read", _read_books),
    )
