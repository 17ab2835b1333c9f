"""What can come back for a request, and what carries requests: the seam between the engine and the sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_contacts.vendor_kit.vendor import Request, Response


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that no byte of the request left: it may be sent again.

    :param refused: the credential was refused at the token endpoint, so nothing else would be sent either.
    :param wait: seconds for which the token endpoint asked to be left alone.
    """

    code: str
    refused: bool = False
    wait: float | None = None
    message: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request, or a part of it, may have left, and no answer came back that proves anything."""

    code: str
    message: str | None = field(default=None, compare=False)


Result = Response | NotSent | NoAnswer


class Sender(Protocol):
    """What carries requests; see ``transport.client`` for the one that opens sockets."""

    @property
    def renewable(self) -> bool:
        """Whether a refused credential can be renewed."""

    def submit(self, tag: int, request: Request, *, not_after: float, timeout: float) -> None:
        """Start a request; its result is ``NotSent`` if it cannot leave before ``not_after`` (monotonic)."""

    def collect(self, timeout: float) -> list[tuple[int, Result]]:
        """Return results as they come; waits for the first one, ``timeout`` seconds at most."""

    def renew(self, tag: int) -> None:
        """Drop the credential that this request was sent with, if it is still the current one."""
