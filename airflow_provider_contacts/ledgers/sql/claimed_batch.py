"""A batch to claim, as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

from airflow_provider_contacts.ledgers.sql.rows import ESCAPED_NUL, SENDING, WORDS, Policy, payload_text
from airflow_provider_contacts.ledgers.sql.statements import Row
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.batch import Batch

Number = Callable[[str | None], int | None]
"""How a batch is numbered."""


class ClaimedBatch:
    """One batch to claim.

    :param alone: whether each of its records has a status and payload of its own from the start.
    """

    def __init__(self, number: int, batch: Batch, store: Policy, *, alone: bool) -> None:
        self.number = number
        self.batch = batch
        self._store = store
        stored = not alone and len(batch) > 1
        body = b"[%b]" % b",".join(batch.bodies) if stored and store != "never" else b""
        self.alone = not stored or ESCAPED_NUL in body
        self._body = None if self.alone or store == "never" else body.decode()

    def row(self, run_no: int) -> Row:
        """Return the batch's own row, in the order of ``statements.BATCH``."""
        return self.number, run_no, "open" if self.alone else SENDING, self._body

    def new_rows(self, sync_no: int) -> Iterator[Row]:
        """Return the rows of ``statements.RECORD`` for the records without a row."""
        rows = self._rows(sync_no)
        if not self.batch.histories:
            return rows
        return (row for place, row in enumerate(rows) if self._state(place) is None)

    def moved_rows(self, sync_no: int, number_of: Number) -> Iterator[Row]:
        """Return the rows of ``statements.CLAIM`` for the records whose row was read."""
        if self.batch.histories:
            for place, row in enumerate(self._rows(sync_no)):
                if (state := self._state(place)) is not None:
                    yield (*row, number_of(state.batch_id), WORDS[state.status])

    def reads_sending(self, number_of: Number) -> Iterator[int]:
        """Yield the batches whose records were read as ``sending``."""
        for history in self.batch.histories.values():
            if history.state is not None and history.state.status is Status.SENDING:
                number = number_of(history.state.batch_id)
                if number is not None:
                    yield number

    def _state(self, place: int) -> Any:
        history = self.batch.histories.get(place)
        return history.state if history is not None else None

    def _rows(self, sync_no: int) -> Iterator[Row]:
        batch, size = self.batch, len(self.batch)
        attempts: Any = repeat(1, size)
        if batch.histories:
            states = map(self._state, range(size))
            attempts = [1 if state is None else state.attempts + 1 for state in states]
        payloads: Any = repeat(None, size)
        if self.alone and self._store != "never":
            payloads = [payload_text(batch, place) for place in range(size)]
        return zip(
            repeat(sync_no, size),
            batch.identifiers,
            repeat(self.number, size),
            range(size),
            batch.row_indexes,
            attempts,
            batch.payload_hashes,
            repeat(SENDING if self.alone else None, size),
            *(repeat(None, size) for _ in range(5)),
            payloads,
            strict=True,
        )
