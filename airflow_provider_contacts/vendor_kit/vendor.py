"""The words of a vendor file: what the engine must be told to push contacts into one vendor.

A vendor is one value of :class:`Vendor`: data and pure functions. None of its functions sleeps, retries, logs or
opens a socket.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.forms import Account, DestinationForm

if TYPE_CHECKING:
    from airflow_provider_contacts.vendor_kit.auth import Auth
    from airflow_provider_contacts.vendor_kit.destinations import Lookup
    from airflow_provider_contacts.vendor_kit.forms import Setting
    from airflow_provider_contacts.vendor_kit.reads import ReadBack
    from airflow_provider_contacts.vendor_kit.refusals import Shape

Payload = dict[str, Any]
"""One record as the vendor wants it: JSON-ready, native field names."""

Destination = Mapping[str, Any]
"""The checked destination: the vendor's keys with values of the declared types."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, relative to the vendor's base URL: a percent-encoded path, and a body in JSON."""

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, whole.

    :param headers: names in lower case.
    :param body: decoded from its content encoding.
    :param seconds: from the first byte of the request to the last one of the answer.
    :param trouble: why the body is not there although there was one, in words.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    seconds: float | None = field(default=None, compare=False)
    trouble: str = field(default="", compare=False)

    def json(self) -> Any:
        """Return the parsed body; raises ``UnreadableError`` for anything that is not one JSON text."""
        # Faster, and stricter than need be: a byte order mark, NaN and lone surrogates are let pass below.
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            return msgspec.json.decode(self.body)
        try:
            return json.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise UnreadableError(type(error).__name__) from None


class Created(msgspec.Struct, frozen=True, gc=False):
    """The vendor confirmed the record, and it is certain which one; without an id where the answer tells none."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Certainly not created, and the same data would be refused again, for every reason given, at least one."""

    errors: tuple[RecordError, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """Certainly not created; the same data may be sent again.

    :param later: the vendor asks for fewer requests, rather than leaving out a record because another one was refused.
    """

    code: str
    message: str | None = field(default=None, repr=False)
    later: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Doubt:
    """May or may not exist; an id that the answer showed is kept as evidence for a person."""

    code: str
    message: str | None = field(default=None, repr=False)
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Not created, and nothing else would be: credential, plan or address are refused inside a 2xx."""

    code: str
    message: str | None = field(default=None, repr=False)


Reply = Created | Rejected | Again | Doubt | Stop


@dataclass(frozen=True, slots=True)
class Replies:
    """What an answer says of each record of a request, in columns.

    :param ids: by place, of every record that the vendor confirms; ``None`` where it tells none.
    :param exceptions: by place: the reply for every record that it does not confirm.
    """

    ids: Sequence[str | None] = field(repr=False)
    exceptions: Mapping[int, Reply] = field(default_factory=dict)

    @classmethod
    def of(cls, replies: Iterable[Reply]) -> Replies:
        """Return replies in columns."""
        listed = list(replies)
        return cls(
            [reply.id if isinstance(reply, Created) else None for reply in listed],
            {place: reply for place, reply in enumerate(listed) if not isinstance(reply, Created)},
        )

    @classmethod
    def doubt(cls, count: int, code: str, message: str | None = None) -> Replies:
        """Return the same doubt about every record: the answer proves nothing."""
        return cls([None] * count, dict.fromkeys(range(count), Doubt(code, message)))

    def __iter__(self) -> Iterator[Reply]:
        """Return one reply a record."""
        return (self.exceptions.get(place) or Created(one) for place, one in enumerate(self.ids))

    def __len__(self) -> int:
        """Return how many records it is about."""
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the vendor can take, or a careful guess; the vendor file says which, with its source.

    :param batch_size: records a request.
    :param body_bytes: encoded bytes a request; a single larger record is still sent, alone.
    :param max_in_flight: requests at the same time.
    :param requests_per_second: sustained rate; ``None`` for no limit known.
    :param burst: requests that may leave at once after a pause.
    """

    batch_size: int
    body_bytes: int = 1_000_000
    max_in_flight: int = 10
    requests_per_second: float | None = None
    burst: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor, whole.

    :param name: connection type and ``destination`` column.
    :param base_url: the vendor's own base URL for an account (regions); the connection's host overrides it.
    :param settings: extra keys of the connection besides those of ``auth``.
    :param request_path: path of the create request for a destination, slash policy included.
    :param envelope: what stands before and after the records' JSON texts, which are joined by commas.
        A vendor that takes one record a request has ``(b"", b"")`` and ``batch_size`` 1.
    :param destination_fields: native fields that name the destination inside each record (not part of its digest).
    :param generated: fields made for a record that lacks them, from ``sync_id`` and record identifier, so that every
        try makes the same ones; the mapping holds only what is absent from the payload. Not part of the digest.
    :param read: a 2xx answer and the payloads as sent, in order: one reply each, in that order.
        Raises ``UnreadableError`` for an answer that proves nothing about any record.
    :param refusal: shapes of a refusing answer (400, 409, 413, 422); the first that fits counts.
    :param again_statuses: 4xx statuses that mean "later" at this vendor.
    :param check: the read request behind ``test_connection``; ``None`` where none is documented.
    :param read_back: ``None`` where the vendor documents no read that would do.
    :param refusals_atomic: assumption: a refused batch created nothing. Extra key of the same name.
    :param retry_after_is_refusal: assumption: 503 with ``Retry-After`` created nothing. Extra key of the same name.
    """

    name: str
    title: str
    docs_url: str
    base_url: Callable[[Account], str]
    auth: Auth
    settings: tuple[Setting, ...] = ()
    destination: DestinationForm = field(default_factory=DestinationForm)
    contract: RecordContract
    limits: Limits
    request_path: Callable[[Destination], str]
    envelope: tuple[bytes, bytes]
    destination_fields: Callable[[Destination], Payload] = lambda _destination: {}
    generated: Callable[[Payload, str, str], Payload] | None = None
    read: Callable[[Response, Sequence[Payload]], Replies]
    refusal: tuple[Shape, ...] = ()
    again_statuses: frozenset[int] = frozenset()
    check: Callable[[Destination], Request] | None = None
    lookup: Lookup | None = None
    read_back: ReadBack | None = None
    refusals_atomic: bool = True
    retry_after_is_refusal: bool = True
