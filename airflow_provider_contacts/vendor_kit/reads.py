"""How records in doubt are looked for at a vendor: questions, pages of contacts, and how the next page is found.

The readers raise ``UnreadableError`` for every answer of another shape: an answer that cannot be read proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_mapping
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Hold one contact as the vendor shows it when it is read back.

    :param id: the vendor's id.
    :param fields: what the read shows, with the names and shapes of a payload. A field that the read does not show is
        absent; one that it shows as empty is empty.
    :param created_at: when the vendor says that it was created, with its UTC offset.
    """

    id: str = field(repr=False)
    fields: Payload = field(repr=False)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Ask the vendor about some records, by one read request.

    :param request: the read request.
    :param about: indexes of the records that its contacts can settle.
    :param context: what the vendor file needs to read the answer, such as which of two designs was asked.
    """

    request: Request
    about: tuple[int, ...]
    context: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Hold what one answer to a question shows.

    :param contacts: every contact that could be one of those sought.
    :param more: the next question, such as the next page; ``None``: all has been read.
    :param whole: ``False`` if the vendor may have a contact that the answer does not show: then nothing is absent.
    """

    contacts: tuple[Contact, ...]
    more: Question | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """Describe how records in doubt are looked for at the vendor. Its requests create nothing.

    :param questions: takes payloads as they were sent, and the destination; returns the first questions. A record
        that no question is about stays in doubt.
    :param read: takes a 2xx answer, or one with a status of ``absent_statuses``, and its question; returns the page.
        Raises ``UnreadableError`` for an answer that is not complete and sensible.
    :param identity: dotted paths of the fields that tell one person from another, such as ``("email",
        "phones.number")``; lists are searched. A contact that shares one of them with a record, and differs elsewhere,
        neither is the record nor proves that it is absent.
    :param absent_statuses: statuses by which a look-up of one contact says that there is none.
    :param most_requests: read requests, at most; a reading that needs more is not complete.
    """

    questions: Callable[[Sequence[Payload], Destination], Sequence[Question]]
    read: Callable[[Response, Question], Page]
    identity: tuple[str, ...]
    absent_statuses: frozenset[int] = frozenset()
    most_requests: int = 1000


def contacts_of(items: Any, read: Callable[[Mapping[str, Any]], Contact]) -> tuple[Contact, ...]:
    """Return the contacts of a list, each read from its object (empty for anything else), no two of one id."""
    if not isinstance(items, list):
        raise UnreadableError("no list of contacts")
    contacts = tuple(read(as_mapping(item)) for item in items)
    if len({contact.id for contact in contacts}) < len(contacts):
        raise UnreadableError("two contacts of one id")
    return contacts


def entries_of(value: Any, member: str) -> list[Payload]:
    """Return a list of objects without their nulls; a lone text is the ``member`` itself."""
    if not isinstance(value, list) or not all(isinstance(one, str | dict) for one in value):
        raise UnreadableError("no list of numbers or addresses")
    objects = ({member: one} if isinstance(one, str) else one for one in value)
    return [{name: part for name, part in one.items() if part is not None} for one in objects]


def ends_path(path: str, id_: str) -> bool:
    """Tell whether the last part of a path is an id."""
    return path.endswith(f"/{quote(id_, safe='', errors='replace')}")


def next_number(meta: Mapping[str, Any], asked: Request) -> int | None:
    """Return the number of the next page where a page says ``has_next``; ``None`` after the last one."""
    if meta.get("has_next") is not True:
        return None
    page = as_count(meta.get("page"))
    if page is None or (asked.query and ("page", str(page)) not in asked.query):
        raise UnreadableError("another page than the one that was asked for")
    return page + 1


def next_cursor(value: Any) -> str | None:
    """Return a cursor as a query can carry it, ``None`` after the last page."""
    if value is None or value == "":
        return None
    cursor = as_id(value)
    if cursor is None or not cursor.isascii() or not cursor.isprintable():
        raise UnreadableError("a cursor that is none")
    return cursor


def next_link(body: Mapping[str, Any], asked: Request) -> Request | None:
    """Return the request for the next page of ``_links.next`` (HAL), ``None`` where this is the last one.

    Of the address only the query is taken, and only if the address is that of the same path: whatever host it names,
    the credential goes nowhere else.
    """
    links = body.get("_links")
    link = as_mapping(links).get("next")
    href = link.get("href") if isinstance(link, dict) else link
    if isinstance(links, dict | None) and (href is None or href == ""):
        return None
    try:
        parts = urlsplit(href if isinstance(href, str) and href.isascii() and href.isprintable() else "//[")
    except ValueError:
        raise UnreadableError("the next page has no address") from None
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    elsewhere = parts.path and not f"/{unquote(parts.path).lstrip('/')}".endswith(unquote(asked.path))
    if parts.scheme not in {"", "http", "https"} or elsewhere or not query:
        raise UnreadableError("the next page is at another address")
    return replace(asked, query=query)
