"""A record list at Talkdesk, what must be unique in it, and the pages in which it is read.

Sources: docs.talkdesk.com/reference/record-lists-2, …/get-a-list-of-records, docs.talkdesk.com/docs/paging-results
(FOUND).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_contacts.simulator.knobs import Knob, Settings
from airflow_provider_contacts.simulator.messages import Answer, Call
from airflow_provider_contacts.simulator.talkdesk_records import external_of, numbers_of

UNIQUE_TYPES = ("NOTHING", "PHONE_NUMBER", "EXTERNAL")
LARGEST_PAGE = 100
HAL = "application/hal+json"

PAGE_KNOBS = (
    Knob("page_size", "integer", "50", "items a page where the request does not say [FOUND]"),
    Knob("next_href", "choice", "absolute", "form of the next page's address [UNKNOWN]", ("absolute", "relative")),
    Knob("page_totals", "choice", "both",
         "numbers in a page [FOUND, words differ]: total and the page's count, one of them, or the list's as count",
         ("both", "total", "whole_count", "none")),
)  # fmt: skip


@dataclass(slots=True)
class RecordList:
    """One list.

    :param unique: what a record must not share with another one of the list.
    :param keys: the values taken, each with its account.
    """

    id: str
    name: str
    unique: str
    keys: set[Any] = field(default_factory=set)

    def claims(self, record: dict[str, Any], codes: list[str], account: int) -> list[Any]:
        """Return the values that the record would take in this list, and add what stands against it to ``codes``."""
        if self.unique == "PHONE_NUMBER":
            keys: list[Any] = [(account, number) for number in dict.fromkeys(numbers_of(record))]
            if any(key in self.keys for key in keys):
                codes.append("PHONE_NUMBER_NOT_UNIQUE")
            return keys
        if self.unique == "EXTERNAL":
            pair = external_of(record)
            if pair is None:
                codes.append("EXTERNAL_REF_MISSING")
                return []
            key = (account, pair)
            if key in self.keys:
                codes.append("EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE")
            return [key]
        return []


def page_of(call: Call, name: str, items: list[dict[str, Any]], knobs: Settings) -> Answer:
    """Return one HAL page (FOUND: page, per_page, total_pages, total, count, _links.next)."""
    size, page = call.number_of("per_page", knobs["page_size"], LARGEST_PAGE), call.number_of("page", 1)
    pages = max(1, -(-len(items) // size))
    shown = items[(page - 1) * size : page * size]
    href = f"{'' if knobs['next_href'] == 'relative' else call.base}{call.path}?per_page={size}&page="
    links = {"self": {"href": f"{href}{page}"}} | ({"next": {"href": f"{href}{page + 1}"}} if page < pages else {})
    numbers = {
        "both": {"total": len(items), "count": len(shown)},
        "total": {"total": len(items)},
        "whole_count": {"count": len(items)},
        "none": {},
    }
    body = {"page": page, "per_page": size, "total_pages": pages, **numbers[knobs["page_totals"]]}
    return Answer(200, {**body, "_embedded": {name: shown}, "_links": links}, content_type=HAL)
