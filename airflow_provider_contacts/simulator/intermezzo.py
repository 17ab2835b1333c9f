"""Intermezzo: a bare array in, counters and two lists out; three servers fit the documentation, hence three modes.

Sources: docs.intermezzo.ai/api-reference/core/create-multiple-contacts-in-bulk (SEED, FOUND), …/core/list-orgs,
docs.intermezzo.ai/auth, docs.intermezzo.ai/pagination (FOUND).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from airflow_provider_contacts.simulator.behaviour import SimulatedVendor, common_knobs
from airflow_provider_contacts.simulator.intermezzo_contacts import Problem, contact_problems, is_taken
from airflow_provider_contacts.simulator.knobs import Knob
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, Route, whole_number
from airflow_provider_contacts.simulator.oauth import client_of, oauth_error, token_knobs, token_request

AUDIENCE = "https://api.intermezzo.ai"
LARGEST_PAGE = 100

KNOBS = (
    Knob("organizations", "places", "org_demo=Demo", "those that exist: id=name or id, with commas"),
    *common_knobs("redirect", "by mode, with the codes of reject_codes"),
    Knob("reject_codes", "text", "ADDRESS_NOT_FOUND", "codes of a rejected contact, with commas; any word is legal"),
    *token_knobs("86400"),
    Knob("token_body", "choice", "json", "encoding of the token request [FOUND json]", ("json", "form", "any")),
    Knob("audience", "text", AUDIENCE, "audience that the token request must name; empty: none is wanted [FOUND]"),
    Knob("missing_token_status", "integer", "401", "answer to a request without a token: 401 or 403 [INFERRED]"),
    Knob("mode", "choice", "all_or_nothing", "what a failed contact does to its neighbours [UNKNOWN]",
         ("all_or_nothing", "stop_at_first", "partial")),
    Knob("success_status", "integer", "200", "200, 201 or 207 [INFERRED]"),
    Knob("error_form", "choice", "fastapi", "form of a 4xx: detail, or error/message/details", ("fastapi", "guide")),
    Knob("phones", "choice", "plausible", "numbers that are taken [UNKNOWN]", ("plausible", "german", "any")),
    Knob("null_phone", "boolean", "true", "whether phone may be null [UNKNOWN]"),
    Knob("unknown_fields", "choice", "ignore", "contacts with other fields [UNKNOWN]", ("ignore", "refuse")),
    Knob("duplicates", "choice", "allow", "an email that exists already [UNKNOWN]", ("allow", "reject")),
    Knob("max_batch", "integer", "0", "contacts a request may hold; 0: no limit; more get 413 [UNKNOWN]"),
    Knob("empty_array", "choice", "accept", "an empty array [UNKNOWN]", ("accept", "refuse")),
    Knob("index_base", "integer", "0", "number of the first contact in inputIndex [INFERRED 0]"),
    Knob("split_errors", "boolean", "false", "one errors entry a code instead of one a contact"),
    Knob("omit_empty", "boolean", "false", "leave data and errors out where they are empty [both optional, FOUND]"),
    Knob("normalise", "boolean", "false", "store emails in lower case and numbers without spaces [UNKNOWN]"),
    Knob("contacts_in_organization", "boolean", "true", "GET of one organization shows its contacts [INFERRED]"),
    Knob("contacts_in_list", "boolean", "true", "GET of all organizations shows their contacts [FOUND]"),
    Knob("contacts_endpoint", "boolean", "false", "whether GET …/contacts exists [UNKNOWN]"),
    Knob("paging", "choice", "array", "form of lists [FOUND both]", ("array", "items")),
)  # fmt: skip


class Intermezzo(SimulatedVendor):
    """Intermezzo's server."""

    name = "intermezzo"
    knob_list = KNOBS
    place_knob = "organizations"

    def routes(self) -> tuple[Route, ...]:
        """Return the endpoints."""
        return (
            Route("POST", "/organizations/{org}/contacts/list", "write", self._create),
            Route("POST", "/oauth/token", "token", self._token),
            Route("GET", "/organizations/{org}", "read", self._read_organization),
            Route("GET", "/organizations", "read", self._read_organizations),
            Route("GET", "/organizations/{org}/contacts", "read", self._read_contacts),
        )

    def clear(self) -> None:
        """Forget what is unique."""
        self.emails: set[tuple[str, str]] = set()

    def set_places(self, named: dict[str, str]) -> None:
        """Let these organizations exist."""
        self.organizations = dict(named)

    def add_organization(self, org: str, name: str = "Another") -> None:
        """Add an empty organization."""
        self.organizations[org] = name

    def connection(self, url: str) -> dict[str, Any]:
        """Return a ready connection."""
        return {
            "conn_type": "intermezzo",
            "host": url,
            **self.ready("demo-client:demo-secret"),
            "extra": {"token_url": f"{url}/oauth/token", "organization_id": next(iter(self.organizations), "")},
        }

    def authorize(self, call: Call) -> int:
        """Accept any live token."""
        if not call.headers.get("authorization"):
            raise RefusedCallError(self.knobs["missing_token_status"], "Not authenticated")
        return self.tokens.token_of(call).account

    def refuse(self, error: RefusedCallError) -> Answer:
        """Return FastAPI's form, or the one of the paging guide."""
        headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
        if self.knobs["error_form"] == "guide":
            path, text, _ = error.errors[0] if error.errors else ((), error.message, "")
            word = "validation_error" if error.errors else error.message.lower().replace(" ", "_")
            details = {"field": ".".join(map(str, path[1:])), "value": None}
            return Answer(error.status, {"error": word, "message": text, "details": details}, headers=headers)
        detail: Any = [{"type": word, "loc": list(path), "msg": text} for path, text, word in error.errors]
        return Answer(error.status, {"detail": detail or error.message}, headers=headers)

    def records_in(self, payload: Any) -> list[Any] | None:
        """Return the list of contacts or organizations."""
        if isinstance(payload, list):
            return payload
        found = next((payload[key] for key in ("data", "contacts", "items") if key in payload), None)
        return found if isinstance(found, list) else None

    def _token(self, call: Call) -> Answer:
        parameters = token_request(call, self.knobs["token_body"])
        if isinstance(parameters, Answer):
            return parameters
        user, password = client_of(call, parameters, "any")
        try:
            account = self.account_of(f"{user}:{password}", "", fits=bool(user and password))
        except RefusedCallError:
            return oauth_error(401, "access_denied", "Unauthorized")
        if parameters.get("grant_type") != "client_credentials":
            return oauth_error(403, "unauthorized_client", "Grant type is not allowed for the client")
        audience = self.knobs["audience"]
        if audience and parameters.get("audience") != audience:
            return oauth_error(403, "access_denied", "Service not found")
        return Answer(200, self.tokens.grant("", account), headers={"Cache-Control": "no-store"})

    def _organization(self, call: Call) -> str:
        org = call.params["org"]
        if org not in self.organizations:
            raise RefusedCallError(404, "Organization not found")
        return org

    def _create(self, call: Call) -> Answer:
        contacts = self._array(call)
        org = self._organization(call)
        failures = self._failures(org, contacts)
        first = min(failures, default=len(contacts))
        match self.knobs["mode"]:
            case "all_or_nothing":
                good = [] if failures else list(range(len(contacts)))
            case "stop_at_first":
                good = list(range(first))
                failures = {index: codes for index, codes in failures.items() if index == first}
            case _:
                good = [index for index in range(len(contacts)) if index not in failures]
        data = [self._keep(call, org, contacts[index]) for index in call.portion(good)]
        return self._counters(len(contacts), data, failures)

    def _counters(self, total: int, data: list[Any], failures: dict[int, list[tuple[str, str]]]) -> Answer:
        body: dict[str, Any] = {
            "total": total,
            "succeeded": len(data),
            "failed": len(failures),
            "unprocessed": total - len(data) - len(failures),
            "data": data,
            "errors": self._entries(failures),
        }
        if self.knobs["omit_empty"]:
            body = {name: value for name, value in body.items() if value != []}
        return Answer(self.knobs["success_status"], body)

    def _entries(self, failures: dict[int, list[tuple[str, str]]]) -> list[Any]:
        entries: list[Any] = []
        for index, codes in sorted(failures.items()):
            errors = [
                {"code": code, "message": f"{field}: {code}", "field": field, "params": {}} for code, field in codes
            ]
            number = index + self.knobs["index_base"]
            groups = [[error] for error in errors] if self.knobs["split_errors"] else [errors]
            entries.extend({"inputIndex": number, "errors": group} for group in groups)
        return entries

    def _array(self, call: Call) -> list[dict[str, Any]]:
        if not call.headers.get("content-type", "").lower().startswith("application/json"):
            raise _unprocessable([(("body",), "Input should be a valid list", "list_type")])
        try:
            contacts = call.json()
        except ValueError as error:
            # FastAPI puts the character's position where an index stands otherwise.
            raise _unprocessable([(("body", getattr(error, "pos", 0)), "JSON decode error", "json_invalid")]) from None
        if not isinstance(contacts, list):
            raise _unprocessable([(("body",), "Input should be a valid list", "list_type")])
        call.received = len(contacts)
        if self.knobs["max_batch"] and len(contacts) > self.knobs["max_batch"]:
            raise RefusedCallError(413, "Request Entity Too Large")
        if not contacts and self.knobs["empty_array"] == "refuse":
            raise _unprocessable([(("body",), "List should have at least 1 item", "too_short")])
        problems = [
            problem
            for index, contact in enumerate(contacts)
            for problem in contact_problems(index, contact, self.knobs)
        ]
        if problems:
            raise _unprocessable(problems)
        return contacts

    def _failures(self, org: str, contacts: list[dict[str, Any]]) -> dict[int, list[tuple[str, str]]]:
        """Return code and field of every contact that has the right shape and fails all the same."""
        failures: dict[int, list[tuple[str, str]]] = {}
        phones, reject, unique = self.knobs["phones"], self.knobs["reject"], self.knobs["duplicates"] == "reject"
        emails: set[str] = set()
        for index, contact in enumerate(contacts):
            codes: list[tuple[str, str]] = []
            number = (contact.get("phone") or {}).get("phoneNumber")
            if number is not None and not is_taken(number, phones):
                codes.append(("INVALID_PHONE_NUMBER", "phone.phoneNumber"))
            email = (contact.get("email") or "").lower()
            if unique and email and (email in emails or (self.shelf(org), email) in self.emails):
                codes.append(("DUPLICATE_CONTACT", "email"))
            if reject and self.rejected(contact):
                codes.extend((code, "name") for code in self.knobs["reject_codes"].split(","))
            if codes:
                failures[index] = codes
            else:
                emails.add(email)
        return failures

    def _keep(self, call: Call, org: str, contact: dict[str, Any]) -> dict[str, Any]:
        view = {
            "name": contact["name"],
            "id": f"cnt_{self.new_number():026d}",
            "email": contact.get("email"),
            "phone": contact.get("phone"),
            "roles": contact.get("roles", []),
        }
        if self.knobs["normalise"]:
            view["email"] = view["email"] and view["email"].lower()
            view["phone"] = view["phone"] and {
                **view["phone"],
                "phoneNumber": view["phone"]["phoneNumber"].replace(" ", ""),
            }
        if view["email"] and self.knobs["duplicates"] == "reject":
            self.emails.add((self.shelf(org), view["email"].lower()))
        self.store(call, contact, org, view["id"], view)
        return view

    def _show(self, org: str, knob: str) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": org, "name": self.organizations[org], "externalRef": None, "workSites": []}
        if self.knobs[knob]:
            shown["contacts"] = [contact.view for contact in self.in_place(org)]
        return shown

    def _read_organization(self, call: Call) -> Answer:
        return Answer(200, self._show(self._organization(call), "contacts_in_organization"))

    def _read_organizations(self, call: Call) -> Answer:
        return self._page(call, [self._show(org, "contacts_in_list") for org in self.organizations])

    def _read_contacts(self, call: Call) -> Answer:
        if not self.knobs["contacts_endpoint"]:
            raise RefusedCallError(404, "Not Found")
        return self._page(call, [contact.view for contact in self.in_place(self._organization(call))])

    def _page(self, call: Call, items: list[Any]) -> Answer:
        if self.knobs["paging"] == "array":
            return Answer(200, list(items))
        size, page = whole_number(call, "size", 10), whole_number(call, "page", 1)
        if size > LARGEST_PAGE:
            raise _unprocessable([(("query", "size"), "Input should be less than or equal to 100", "less_than_equal")])
        pages = -(-len(items) // size)
        meta = {"total": len(items), "page": page, "size": size, "pages": pages}
        meta |= {"has_next": page < pages, "has_prev": page > 1}
        return Answer(200, {"items": items[(page - 1) * size : page * size], "meta": meta})


def _unprocessable(problems: list[Problem]) -> RefusedCallError:
    return RefusedCallError(422, "Unprocessable Entity", problems)
