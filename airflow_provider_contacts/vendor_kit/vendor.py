"""The words of a vendor file: what the engine must be told to push contacts into one vendor.

A vendor is one value of :class:`Vendor`: data and pure functions. None of its functions sleeps, retries, logs or
opens a socket, and ``read`` raises on no bytes whatsoever.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

import msgspec

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.contract import RecordContract

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_contacts.vendor_kit.auth import Credential

Payload = dict[str, Any]
"""One record as the vendor wants it: JSON-ready, native field names."""

Destination = Mapping[str, Any]
"""The checked destination: the vendor's keys with values of the declared types."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, relative to the vendor's base URL.

    :param path: percent-encoded, with the trailing slash exactly as the vendor wants it.
    :param body: encoded JSON, sent as ``application/json``; ``None`` for no body.
    """

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
        """Return the parsed body.

        :raises UnreadableError: for anything that is not one JSON text, a bottomless nesting included.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            # Stricter than need be: a byte order mark, NaN and lone surrogates are let pass below. Of what is no UTF-8
            # it raises Python's own error.
            pass
        try:
            return json.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise UnreadableError(type(error).__name__) from None


class Created(msgspec.Struct, frozen=True, gc=False):
    """The vendor confirmed the record, and it is certain which one.

    :param id: the vendor's id as text; ``None`` where the answer proves the creation without telling ids.
    """

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Certainly not created, and the same data would be refused again.

    :param errors: every reason given, at least one.
    """

    errors: tuple[RecordError, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """Certainly not created; the same data may be sent again.

    :param later: the vendor asks for fewer requests. It does not where a record was merely left out because another one
        of its request was refused.
    """

    code: str
    message: str | None = field(default=None, repr=False)
    later: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Doubt:
    """May or may not exist.

    :param id: an id that the answer showed, kept as evidence for a person.
    """

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
class Replies(Sequence[Reply]):
    """What an answer says of each record of a request, in columns; also the sequence of one reply a record.

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

    @overload
    def __getitem__(self, place: int) -> Reply: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Reply]: ...
    def __getitem__(self, place: int | slice) -> Reply | Sequence[Reply]:
        """Return the reply for a record."""
        if isinstance(place, slice):
            return list(self)[place]
        place = range(len(self.ids))[place]
        return self.exceptions.get(place) or Created(self.ids[place])

    def __len__(self) -> int:
        """Return how many records it is about."""
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One contact as the vendor shows it when it is read back.

    :param id: the vendor's id as text.
    :param fields: what the read shows, under the names and in the shape in which it would be sent; a field that the
        read does not show is absent, one that it shows as empty is there and empty.
    :param created_at: aware; ``None`` where the vendor does not tell.
    """

    id: str = field(repr=False)
    fields: Payload = field(repr=False)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One read request on the way to an answer about some records.

    :param about: the records that its contacts can settle, by their index among those sought.
    :param context: whatever the vendor file must know to read the answer, e.g. which of two designs was asked.
    """

    request: Request
    about: tuple[int, ...]
    context: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one answer to a question shows.

    :param contacts: those that could be the sought ones; leaving out is allowed only where content proves it.
    :param more: what must be asked next; ``None``: all has been read.
    :param whole: ``False`` where the vendor may have kept back contacts that the question is about: what is not shown
        is not absent.
    """

    contacts: tuple[Contact, ...]
    more: Question | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """How records in doubt are looked for at the vendor. Nothing of it may create anything.

    :param questions: the first requests for these payloads, as they were sent, at this destination. A record that no
        question is about cannot be read back, and stays in doubt.
    :param read: a 2xx answer, or one of ``absent_statuses``, to a question.
        Raises ``UnreadableError`` for anything that is not a whole, sensible answer: doubt is not absence.
    :param identity: dotted paths of the native fields that tell one person from another (lists are looked through),
        e.g. ``("email", "phones.number")``. A contact that shares one of them with the sought record, but differs
        elsewhere, is neither a match nor proof of absence.
    :param absent_statuses: statuses by which a look-up of one contact says that there is none.
    :param most_requests: read requests for one reading; a longer one is not complete.
    """

    questions: Callable[[Sequence[Payload], Destination], Sequence[Question]]
    read: Callable[[Response, Question], Page]
    identity: tuple[str, ...]
    absent_statuses: frozenset[int] = frozenset()
    most_requests: int = 1000


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
class Setting:
    """One key of the connection's extra, or of the destination.

    :param kind: the type it is parsed to; ``"bool_or_path"`` is ``verify``'s.
    :param allowed: the only values, for texts.
    :param default: what counts where the key is absent, where a form can show it: a switch, a choice.
    :param secret: masked in the connection form and in logs.
    """

    name: str
    kind: Literal["text", "integer", "number", "seconds", "boolean", "bool_or_path"] = "text"
    label: str
    description: str
    allowed: tuple[str, ...] = ()
    default: bool | str | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationForm:
    """Which keys say where in the vendor's account the contacts go.

    :param required: keys without which nothing can be sent.
    :param exactly_one: of these keys, one and only one.
    :param object_key: the key whose (resolved) value is the ``destination_object``; ``None``: the vendor has none.
    """

    settings: tuple[Setting, ...] = ()
    required: tuple[str, ...] = ()
    exactly_one: tuple[str, ...] = ()
    object_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """How a destination is made exact before anything is sent, e.g. an address book's name into its id.

    :param request: the read request that is needed, or ``None`` if this destination is exact already.
    :param read: the exact destination from a 2xx answer.
        Raises ``ConfigError`` where the object does not exist or is not unique, ``UnreadableError`` on garbage.
    """

    request: Callable[[Destination], Request | None]
    read: Callable[[Response, Destination], Destination]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The connection's own values, extras parsed to their types, absent ones left out."""

    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionForm:
    """The connection as people see it in Airflow's form.

    :param hidden: standard fields that mean nothing for this vendor.
    :param relabeling: standard field to label, e.g. ``{"password": "API key"}``.
    :param placeholders: standard field or extra key to example text.
    :param settings: extra keys of this vendor alone; those that all vendors share are added.
    """

    hidden: tuple[str, ...] = ()
    relabeling: Mapping[str, str] = field(default_factory=dict)
    placeholders: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()


def no_destination(destination: Destination) -> Payload:  # noqa: ARG001  # the signature is the word's
    """Return nothing: the ``destination_fields`` of a vendor that names the destination in the path."""
    return {}


def no_code(answer: Response) -> str | None:  # noqa: ARG001  # the signature is the word's
    """Return nothing: the ``refusal_code`` of a vendor whose refusals carry no code."""
    return None


def nothing_named(  # the signature is the word's
    answer: Response,  # noqa: ARG001
    sent: Sequence[Payload],  # noqa: ARG001
) -> Mapping[int, tuple[RecordError, ...]]:
    """Return nothing: the ``read_refusal`` of a vendor whose refusals name no record."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor, whole.

    :param name: connection type and ``destination`` column.
    :param base_url: the vendor's own base URL for an account (regions); the connection's host overrides it.
    :param auth: the credential of an account. Raises ``ConfigError`` for what is missing or makes no sense.
    :param request_path: path of the create request for a destination, slash policy included.
    :param envelope: what stands before and after the records' JSON texts, which are joined by commas.
        A vendor that takes one record a request has ``(b"", b"")`` and ``batch_size`` 1.
    :param destination_fields: native fields that name the destination inside each record (not part of its digest).
    :param generated: fields made for a record that lacks them, from ``sync_id`` and record identifier, so that every
        try makes the same ones; the mapping holds only what is absent from the payload. Not part of the digest.
    :param read: a 2xx answer and the payloads as sent, in order: one reply each, in that order.
    :param read_refusal: a refusing answer (400, 409, 413, 422): index to reasons for every record that it names;
        indices out of range are left out, and naming none is an answer too. Raises on no bytes.
    :param refusal_code: error code of a whole refusal for its only record, from the answer. Raises on no bytes.
    :param again_statuses: 4xx statuses that mean "later" at this vendor.
    :param check: the read request behind ``test_connection``; ``None`` where none is documented.
    :param lookup: see :class:`Lookup`.
    :param read_back: see :class:`ReadBack`; ``None`` where the vendor documents no read that would do.
    :param exists_codes: codes of a rejection which says that such a contact is there already. For a record that was in
        doubt it may be the record itself.
    :param refusals_atomic: assumption: a refused batch created nothing. Extra key of the same name.
    :param retry_after_is_refusal: assumption: 503 with ``Retry-After`` created nothing. Extra key of the same name.
    """

    name: str
    title: str
    docs_url: str
    form: ConnectionForm
    base_url: Callable[[Account], str]
    auth: Callable[[Account], Credential]
    destination: DestinationForm = DestinationForm()
    contract: RecordContract
    limits: Limits
    request_path: Callable[[Destination], str]
    envelope: tuple[bytes, bytes]
    destination_fields: Callable[[Destination], Payload] = no_destination
    generated: Callable[[Payload, str, str], Payload] | None = None
    read: Callable[[Response, Sequence[Payload]], Replies]
    read_refusal: Callable[[Response, Sequence[Payload]], Mapping[int, tuple[RecordError, ...]]] = nothing_named
    refusal_code: Callable[[Response], str | None] = no_code
    again_statuses: frozenset[int] = frozenset()
    check: Callable[[Destination], Request] | None = None
    lookup: Lookup | None = None
    read_back: ReadBack | None = None
    exists_codes: frozenset[str] = frozenset()
    refusals_atomic: bool = True
    retry_after_is_refusal: bool = True
