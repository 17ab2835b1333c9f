"""Whether a push still sends, and why not."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from airflow_provider_contacts.errors import ContactsError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why nothing more is sent.

    :param error: what the push raises at its end; ``None``: its outcomes say enough.
    :param drain: whether the rest of the source is read, so that every record has an outcome.
    :param note: whether rows may still be written for records that were not sent.
    """

    code: str
    error: BaseException | None = None
    drain: bool = True
    note: bool = True


class Brake:
    """Stops the sending of one push, once; ``halt`` is the reason."""

    def __init__(self) -> None:
        self.halt: StopReason | None = None

    def pull(self, halt: StopReason) -> None:
        """Send nothing more; the first reason counts."""
        if self.halt is None:
            self.halt = halt
            log.warning("Nothing more is sent: %s", halt.code if halt.error is None else reason_of(halt.error))


def reason_of(error: BaseException) -> str:
    """Return why a push ends; of another's exception only its class, whose text may quote a row."""
    return (isinstance(error, ContactsError) and str(error)) or type(error).__name__
