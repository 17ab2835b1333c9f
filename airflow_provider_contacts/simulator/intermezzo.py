"""Intermezzo: a bare array in, counters and two lists out; three servers fit the documentation, hence three modes.

Sources: docs.intermezzo.ai/api-reference/core/create-multiple-contacts-in-bulk (SEED, FOUND), …/core/list-orgs,
docs.intermezzo.ai/auth, docs.intermezzo.ai/pagination (FOUND).
"""

from __future__ import annotations

from typing import Any, Literal

from airflow_provider_contacts.simulator.behaviour import SimulatedVendor, common_knobs
from airflow_provider_contacts.simulator.checks import (
    Email,
    fastapi_answer,
    fastapi_body,
    is_phone,
    problems_of,
    shape,
    unprocessable,
)
from airflow_provider_contacts.simulator.knobs import Knob, choice
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, Route
from airflow_provider_contacts.simulator.oauth import client_of, oauth_error, token_knobs, token_request

AUDIENCE = "https://api.intermezzo.ai"
LARGEST_PAGE = 100

KNOBS = (
    Knob("organizations", "places", "org_demo=Demo", "those that exist: id=name or id, with commas"),
    *common_knobs("redirect", "by mode, with the codes of reject_codes"),
    Knob("reject_codes", "text", "ADDRESS_NOT_FOUND", "codes of a rejected contact, with commas; any word is legal"),
    *token_knobs("86400"),
    choice("token_body", "encoding of the token request [FOUND json]", "json", "form", "any"),
    Knob("audience", "text", AUDIENCE, "audience that the token request must name; empty: none is wanted [FOUND]"),
    Knob("missing_token_status", "status", "401", "answer to a request without a token: 401 or 403 [INFERRED]"),
    choice("mode", "what a failed contact does to its neighbours [UNKNOWN]",
           "all_or_nothing", "stop_at_first", "partial"),
    Knob("success_status", "status", "200", "200, 201 or 207 [INFERRED]"),
    choice("error_form", "form of a 4xx: detail, or error/message/details", "fastapi", "guide"),
    choice("phones", "numbers that are taken [UNKNOWN]", "plausible", "german", "any"),
    Knob("null_phone", "boolean", "true", "whether phone may be null [UNKNOWN]"),
    choice("unknown_fields", "contacts with other fields [UNKNOWN]", "ignore", "refuse"),
    choice("duplicates", "an email that exists already [UNKNOWN]", "allow", "reject"),
    Knob("max_batch", "integer", "0", "contacts a request may hold; 0: no limit; more get 413 [UNKNOWN]"),
    choice("empty_array", "an empty array [UNKNOWN]", "accept", "refuse"),
    Knob("index_base", "integer", "0", "number of the first contact in inputIndex [INFERRED 0]"),
    Knob("split_errors", "boolean", "false", "one errors entry a code instead of one a contact"),
    Knob("omit_empty", "boolean", "false", "leave data and errors out where they are empty [both optional, FOUND]"),
    Knob("normalise", "boolean", "false", "store emails in lower case and numbers without spaces [UNKNOWN]"),
    Knob("contacts_in_organization", "boolean", "true", "GET of one organization shows its contacts [INFERRED]"),
    Knob("contacts_in_list", "boolean", "true", "GET of all organizations shows their contacts [FOUND]"),
    choice("paging", "form of lists [FOUND both]", "array", "items"),
)  # fmt: skip

# SEED: fields; FOUND: what is required.
_PHONE = shape({"phoneNumber": str, "phoneType": Literal["mobile"]}, {})
_OTHERS = {"email": Email | None, "phone": _PHONE | None, "roles": list[str]}
_SHAPES = {"ignore": shape({"name": str}, _OTHERS), "refuse": shape({"name": str}, _OTHERS, closed=True)}


class Intermezzo(SimulatedVendor):
    """Intermezzo's server."""

    name = "intermezzo"
    knob_list = KNOBS
    list_keys = ("data", "contacts", "items")
    any_credential = "demo-client:demo-secret"
    challenge = "Bearer"
    place_knob = "organizations"

    def authorize(self, call: Call) -> int:  # noqa: D102  # as of every vendor
        if not call.headers.get("authorization"):
            raise RefusedCallError(self.knobs["missing_token_status"], "Not authenticated")
        return self.tokens.token_of(call).account

    def _refuse(self, error: RefusedCallError) -> Answer:
        if self.knobs["error_form"] != "guide":
            return fastapi_answer(error)
        path, text, _ = error.problems[0] if error.problems else ((), error.message, "")
        word = "validation_error" if error.problems else error.message.lower().replace(" ", "_")
        details = {"field": ".".join(map(str, path[1:])), "value": None}
        return Answer(error.status, {"error": word, "message": text, "details": details})

    def _token(self, call: Call) -> Answer:
        parameters = token_request(call, self.knobs["token_body"])
        account = self.client_account(client_of(call, parameters, in_body=True), "access_denied", "Unauthorized")
        if parameters.get("grant_type") != "client_credentials":
            raise oauth_error(403, "unauthorized_client", "Grant type is not allowed for the client")
        if self.knobs["audience"] not in {"", parameters.get("audience")}:
            raise oauth_error(403, "access_denied", "Service not found")
        return self.tokens.grant("", account)

    def _organization(self, call: Call) -> str:
        if call.params["org"] not in self.places:
            raise RefusedCallError(404, "Organization not found")
        return call.params["org"]

    def _create(self, call: Call) -> Answer:
        contacts = self._array(call)
        org = self._organization(call)
        failures = self._failures(org, contacts)
        good = [index for index in range(len(contacts)) if index not in failures]
        first = min(failures, default=len(contacts))
        if self.knobs["mode"] == "all_or_nothing" and failures:
            good = []
        if self.knobs["mode"] == "stop_at_first":
            good = list(range(first))
            failures = {index: codes for index, codes in failures.items() if index == first}
        data = [self._keep(call, org, contacts[index]) for index in call.portion(good)]
        body: dict[str, Any] = {"total": len(contacts), "succeeded": len(data), "failed": len(failures)}
        body |= {"unprocessed": len(contacts) - len(data) - len(failures), "data": data}
        body["errors"] = self._entries(failures)
        if self.knobs["omit_empty"]:
            body = {name: value for name, value in body.items() if value != []}
        return Answer(self.knobs["success_status"], body)

    def _entries(self, failures: dict[int, list[tuple[str, str]]]) -> list[Any]:
        entries: list[Any] = []
        for index, codes in sorted(failures.items()):
            errors = [{"code": code, "message": f"{at}: {code}", "field": at, "params": {}} for code, at in codes]
            groups = [[error] for error in errors] if self.knobs["split_errors"] else [errors]
            entries.extend({"inputIndex": index + self.knobs["index_base"], "errors": group} for group in groups)
        return entries

    def _array(self, call: Call) -> list[dict[str, Any]]:
        contacts: list[dict[str, Any]] = fastapi_body(call, list, ("Input should be a valid list", "list_type"))
        call.received = len(contacts)
        if 0 < self.knobs["max_batch"] < len(contacts):
            raise RefusedCallError(413, "Request Entity Too Large")
        if not contacts and self.knobs["empty_array"] == "refuse":
            raise unprocessable([(("body",), "List should have at least 1 item", "too_short")])
        wanted = _SHAPES[self.knobs["unknown_fields"]]
        problems = [
            one for place, contact in enumerate(contacts) for one in problems_of(wanted, contact, "body", place)
        ]
        if not (problems or self.knobs["null_phone"]):
            bare = [index for index, contact in enumerate(contacts) if contact.get("phone", "") is None]
            problems = [(("body", index, "phone"), "Input should be a valid dictionary", "dict_type") for index in bare]
        if problems:
            raise unprocessable(problems)
        return contacts

    def _failures(self, org: str, contacts: list[dict[str, Any]]) -> dict[int, list[tuple[str, str]]]:
        """Return code and field of every contact that has the right shape and fails all the same."""
        failures: dict[int, list[tuple[str, str]]] = {}
        phones, unique = self.knobs["phones"], self.knobs["duplicates"] == "reject"
        emails: set[str] = set()
        for index, contact in enumerate(contacts):
            codes: list[tuple[str, str]] = []
            number = (contact.get("phone") or {}).get("phoneNumber")
            german = phones != "german" or (number or "").startswith(("+49", "0"))
            if number is not None and phones != "any" and not (german and is_phone(number)):
                codes.append(("INVALID_PHONE_NUMBER", "phone.phoneNumber"))
            email = (contact.get("email") or "").lower()
            if unique and email and (email in emails or (self.shelf(org), email) in self.by_key):
                codes.append(("DUPLICATE_CONTACT", "email"))
            if self.rejected(contact):
                codes.extend((code, "name") for code in self.knobs["reject_codes"].split(","))
            if codes:
                failures[index] = codes
            else:
                emails.add(email)
        return failures

    def _keep(self, call: Call, org: str, contact: dict[str, Any]) -> dict[str, Any]:
        view = {"name": contact["name"], "id": f"cnt_{self.new_number():026d}", "roles": contact.get("roles", [])}
        email, phone = contact.get("email"), contact.get("phone")
        if self.knobs["normalise"]:
            email = email and email.lower()
            phone = phone and {**phone, "phoneNumber": phone["phoneNumber"].replace(" ", "")}
        if email and self.knobs["duplicates"] == "reject":
            self.by_key[self.shelf(org), email.lower()] = True
        view |= {"email": email, "phone": phone}
        self.store(call, contact, org, view["id"], view)
        return view

    def _show(self, org: str, knob: str) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": org, "name": self.places[org], "externalRef": None, "workSites": []}
        return shown | ({"contacts": self.in_place(org)} if self.knobs[knob] else {})

    def _read_organization(self, call: Call) -> Answer:
        return Answer(200, self._show(self._organization(call), "contacts_in_organization"))

    def _read_organizations(self, call: Call) -> Answer:
        return self._page(call, [self._show(org, "contacts_in_list") for org in self.places])

    def _page(self, call: Call, items: list[Any]) -> Answer:
        if self.knobs["paging"] == "array":
            return Answer(200, list(items))
        size, page = call.number_of("size", 10), call.number_of("page", 1)
        if size > LARGEST_PAGE:
            raise unprocessable([(("query", "size"), "Input should be less than or equal to 100", "less_than_equal")])
        pages = -(-len(items) // size)
        meta = {"total": len(items), "page": page, "size": size, "pages": pages}
        meta |= {"has_next": page < pages, "has_prev": page > 1}
        return Answer(200, {"items": items[(page - 1) * size : page * size], "meta": meta})

    routes = (
        Route("POST", "/organizations/{org}/contacts/list", "write", _create),
        Route("POST", "/oauth/token", "token", _token),
        Route("GET", "/organizations/{org}", "read", _read_organization),
        Route("GET", "/organizations", "read", _read_organizations),
    )
