"""A vendor in one value: everything that the engine must know to push contacts into it.

A :class:`Vendor` is data and pure functions. None of its functions sleeps, retries, logs or opens a socket.
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
"""One record as it is sent: the vendor's own field names, and values that JSON has."""

Destination = Mapping[str, Any]
"""The checked destination: the vendor's keys with values of the declared types."""


@dataclass(frozen=True, slots=True)
class Request:
    """Describe one HTTP request to the vendor.

    :param path: percent-encoded, relative to the base URL.
    :param body: JSON text; ``None`` without a body.
    :param query: pairs of name and value, not yet encoded.
    """

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """Hold one whole HTTP answer.

    :param status: the HTTP status.
    :param headers: by name in lower case.
    :param body: decoded from its content encoding.
    :param seconds: from the first byte of the request to the last byte of the answer.
    :param trouble: why a body that was sent is not here, in words.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    seconds: float | None = field(default=None, compare=False)
    trouble: str = field(default="", compare=False)

    def json(self) -> Any:
        """Return the parsed body.

        :raises UnreadableError: if the body is not one JSON text.
        """
        # Faster, and stricter than need be: a byte order mark, NaN and lone surrogates are let pass below.
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            return msgspec.json.decode(self.body)
        try:
            return json.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise UnreadableError(type(error).__name__) from None


class Created(msgspec.Struct, frozen=True, gc=False):
    """Say that the vendor confirms the record, and that it is certain which one it is.

    :param id: the vendor's id; ``None`` where the answer has none.
    """

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Say that the record was not created, and that the same data would be refused again.

    :param errors: every reason, at least one.
    """

    errors: tuple[RecordError, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """Say that the record was not created, and that the same data may be sent again.

    :param code: in snake case.
    :param message: the vendor's text.
    :param later: whether the vendor asks for fewer requests; ``False`` if it left the record out because of another.
    """

    code: str
    message: str | None = field(default=None, repr=False)
    later: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Say that the record may or may not exist.

    :param code: in snake case.
    :param message: the vendor's text.
    :param id: an id that the answer showed: evidence for a person, not proof.
    """

    code: str
    message: str | None = field(default=None, repr=False)
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Say that no record is created from now on: a 2xx answer refuses credential, plan or address.

    :param code: in snake case.
    :param message: the vendor's text.
    """

    code: str
    message: str | None = field(default=None, repr=False)


Reply = Created | Rejected | Again | Doubt | Stop


@dataclass(frozen=True, slots=True)
class Replies:
    """Hold what an answer says of each record of a request, in columns.

    :param ids: the vendor's id of each confirmed record, else ``None``; in the order in which they were sent.
    :param exceptions: by place in the request: the reply for each record that is not confirmed.
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
        """Return one reply a record, in the order in which they were sent."""
        return (self.exceptions.get(place) or Created(one) for place, one in enumerate(self.ids))

    def __len__(self) -> int:
        """Return the number of records of the request."""
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Say how much the vendor takes; where it documents nothing, a careful guess. The vendor file has the source.

    :param batch_size: records a request, at most.
    :param body_bytes: encoded bytes a request, at most; a single record that is larger is sent alone.
    :param max_in_flight: requests under way at the same time.
    :param requests_per_second: sustained rate; ``None``: no limit is known.
    :param burst: requests that may leave at once after a pause.
    """

    batch_size: int
    body_bytes: int = 1_000_000
    max_in_flight: int = 10
    requests_per_second: float | None = None
    burst: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Describe one vendor, whole.

    :param name: the connection type, and the value of the column ``destination``.
    :param title: the vendor's name, for people.
    :param docs_url: the vendor's page about the create request.
    :param base_url: takes an account, returns the vendor's base URL for it; the connection's host takes precedence.
    :param auth: how a connection gives the credential; see :mod:`~airflow_provider_contacts.vendor_kit.auth`.
    :param settings: extra keys of the connection besides those of ``auth``.
    :param destination: the keys that say where in the account the contacts go.
    :param contract: the fields of a record, and their check.
    :param limits: how much a request, and a second, may carry.
    :param request_path: takes a destination, returns the path of the create request, with or without a final slash
        as the vendor documents it.
    :param envelope: bytes before and after the records' JSON texts, which are joined by commas. ``(b"", b"")`` and
        ``batch_size`` 1 for a vendor that takes one record a request.
    :param destination_fields: takes a destination, returns fields that name it inside each record. They are not part of
        the record's digest.
    :param generated: takes a payload, the ``sync_id`` and the record identifier; returns fields that the payload lacks.
        Every try makes the same ones. They are not part of the record's digest.
    :param read: takes a 2xx answer and the payloads as they were sent; returns one reply each, in their order. Raises
        ``UnreadableError`` for an answer that proves nothing about any record.
    :param refusal: shapes of the body of a 400, 409, 413 or 422; the first one that fits is read.
    :param again_statuses: 4xx statuses that mean "later" at this vendor.
    :param check: takes a destination, returns the read request of ``test_connection``; ``None``: none is documented.
    :param lookup: how a destination is made exact before anything is sent, such as a name into an id.
    :param read_back: how records in doubt are looked for; ``None``: no read of the vendor would do.
    :param refusals_atomic: assumption: a refused request created none of its records. Extra key of the same name.
    :param retry_after_is_refusal: assumption: 503 with ``Retry-After`` created none. Extra key of the same name.
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
