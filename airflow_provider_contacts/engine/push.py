"""The one loop: one stream of rows in, one stream of outcomes out, many requests in flight, constant memory.

Runs in the caller's thread: the ledger, and whatever stands behind it, is touched from there alone. Requests run
behind a :class:`Sender`. A record is claimed durably before its request is handed over; its outcome is durable before
the record can be claimed again, and before it is yielded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

from airflow_provider_contacts.engine.context import Brake, PushContext, pace_of
from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.steps import Steps
from airflow_provider_contacts.errors import InterruptedPushError
from airflow_provider_contacts.pacing.shared import Budget
from airflow_provider_contacts.records.batch import Finished
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.vendor_kit.push_settings import SYSTEM_CLOCK, Clock, PushSettings
from airflow_provider_contacts.vendor_kit.results import Sender

LAST_WORD = 3.0
"""Seconds that requests in flight get when the push is told to stop: Airflow kills after five."""


class Push:
    """One push of one stream of rows to one vendor.

    ``last_words`` is what was finished after the caller had stopped listening; ``counts`` tells how far it is.

    :param stopping: asked often; once it is true, nothing new is sent.
    :param watch: called with the push again and again while it runs, also while nothing comes back.
    """

    def __init__(
        self,
        rows: Iterator[Any],
        *,
        mapper: Mapper,
        ledger: Ledger,
        sender: Sender,
        settings: PushSettings,
        stopping: Callable[[], bool] = lambda: False,
        budget: Budget | None = None,
        watch: Callable[[Push], None] = lambda _push: None,
        clock: Clock = SYSTEM_CLOCK,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.last_words: list[Finished] = []
        self._watch, self._stopping = watch, stopping
        self._interrupts = interrupts = interrupts or Interrupts()
        self._context = PushContext(
            mapper=mapper,
            ledger=ledger,
            sender=sender,
            settings=replace(settings, place=replace(settings.place, destination=mapper.destination)),
            clock=clock,
            brake=Brake(durable=ledger.durable),
            pace=pace_of(settings.limits, budget),
        )
        self.counts = self._context.counts
        self._steps = Steps(
            rows,
            self._context,
            stopping=lambda: stopping() or interrupts.pending,
            interrupts=interrupts,
        )

    def run(self) -> Generator[Finished]:
        """Yield records as they are finished, each once; raise at the end what the push could not go on for.

        Every record that was read is yielded before. Closing the iterator early stops the push as a signal would.
        """
        steps = self._steps
        try:
            yield from self._drive()
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException:
            self._abandon()
            yield from self._handed_over()
            raise
        finally:
            self.last_words = list(steps.finished)
            steps.admission.keys.warn()
        if self._context.brake.error is not None:
            raise self._context.brake.error
        if steps.source_error is not None:
            raise steps.source_error

    def _drive(self) -> Iterator[Finished]:
        steps, brake = self._steps, self._context.brake
        while True:
            self._watch(self)
            self._interrupts.check()
            if self._stopping():
                raise InterruptedPushError("the push was told to stop; what had not been answered is unknown")
            steps.take_in()
            self._interrupts.check()
            if brake.code:
                steps.dismiss()
            else:
                steps.launch()
            steps.look()
            yield from self._handed_over()
            if steps.done:
                return
            steps.responses.gather(steps.idle_seconds(), writing=steps.writing)
            steps.responses.judge()
            if not brake.code and not self._stopping() and not any(one.again for one in steps.responses.judged):
                # What good answers have freed is sent with the same write that tells of them.
                steps.launch()
            steps.write_results()

    def _handed_over(self) -> Iterator[Finished]:
        while self._steps.finished:
            yield self._steps.finished.popleft()

    def _abandon(self) -> None:
        """Give requests in flight a last chance, then write everything that is known."""
        steps, monotonic = self._steps, self._context.clock.monotonic
        self._context.brake.pull(None)
        deadline = monotonic() + LAST_WORD
        while steps.responses.awaited and (left := deadline - monotonic()) > 0:
            steps.responses.collect(left)
        steps.responses.give_up()
        steps.responses.judge()
        steps.write_results()
        steps.look()
        steps.give_up_claims(None)
        steps.dismiss()
