"""How well the pace of a push finds a limit that nobody has told it.

usage: python -m bench.pace [--limits 5 20 100] [--seconds 30] [--latency 20ms-60ms] [--set NAME=VALUE ...]
                            [--write FILE]

The simulator is a process that answers 429 to what is beyond ``talkdesk.rate``, a token bucket that holds a second of
it; the hook's ``push()``, without ``requests_per_second``, is another. So many requests are sent as the limit lets
through in ``--seconds``. All figures are of the simulator's own list of requests. What the bucket held at first, or has
saved in a pause, is let through on top of the limit: a little more than all of it can be reached. Ends with 1 if a
bound is broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from airflow_provider_contacts.simulator.messages import Seen
from bench.process import BrokenError, Place
from bench.pushing import VENDOR, Order, push_all
from bench.verdict import conclude
from campaigns.judge import simulator
from campaigns.report import table

SETTLING = 5.0
"""Seconds from the first answer that do not count for the rate that is reached."""

LEAST_REACHED = 0.7
"""Share of the limit, after these."""

MOST_REFUSED = 0.05
"""Share of 429 in the answers after these."""

MOST_REFUSED_EVER = 0.1
"""The same in all answers, with those by which a limit is met first: of five a second, several at once are too many."""

RECORDS = 10
"""Records a request."""

HEAD = ("hidden limit", "requests", "records", "succeeded", "seconds", "first 5 s", "after 5 s", "of the limit",
        "429 of all answers", "429 after 5 s")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one push came to.

    :param limit: requests a second.
    :param answers: of the create requests, in their order.
    """

    limit: float
    records: int
    succeeded: int
    stored: int
    seconds: float
    answers: Sequence[Seen]

    @property
    def early(self) -> float:
        """Requests a second that were taken in the first seconds."""
        return sum(one.at < self._settled_at for one in self.answers if taken(one)) / SETTLING

    @property
    def reached(self) -> float:
        """Requests a second that were taken after these, until the last one."""
        late = [one.at for one in self._late if taken(one)]
        return len(late) / (late[-1] - self._settled_at) if late else 0.0

    @property
    def _settled_at(self) -> float:
        return self.answers[0].at + SETTLING

    @property
    def _late(self) -> list[Seen]:
        return [one for one in self.answers if one.at >= self._settled_at]

    def row(self) -> tuple[str | int, ...]:
        """Return the row of the table."""
        return (
            f"{self.limit:g}/s", len(self.answers), self.records, self.succeeded, f"{self.seconds:.1f}",
            f"{self.early:.1f}/s", f"{self.reached:.1f}/s", f"{self.reached / self.limit:.0%}",
            refused(self.answers), refused(self._late),
        )  # fmt: skip

    def complaints(self) -> Iterator[str]:
        """Yield what is not as it should be."""
        name = f"{self.limit:g}/s"
        if not self.records == self.succeeded == self.stored:
            yield f"{name}: of {self.records:,} records {self.succeeded:,} succeeded, {self.stored:,} are stored"
        if self.reached < LEAST_REACHED * self.limit:
            yield f"{name}: {self.reached / self.limit:.1%} of the limit is reached, {LEAST_REACHED:.0%} is wanted"
        for answers, most, which in (
            (self._late, MOST_REFUSED, "the later answers"),
            (self.answers, MOST_REFUSED_EVER, "all answers"),
        ):
            if count(answers) > most * len(answers):
                yield f"{name}: 429 is {refused(answers)} of {which}, {most:.0%} is the most"


def taken(answer: Seen) -> bool:
    """Tell whether a request was taken."""
    return answer.status == HTTPStatus.CREATED


def count(answers: Sequence[Seen]) -> int:
    """Return how many answers are 429."""
    return sum(one.status == HTTPStatus.TOO_MANY_REQUESTS for one in answers)


def refused(answers: Sequence[Seen]) -> str:
    """Return how many answers are 429, and their share."""
    return f"{count(answers)} ({count(answers) / max(1, len(answers)):.1%})"


def measure(place: Place, limit: float, seconds: float, knobs: Mapping[str, str]) -> Found:
    """Push to a simulator with a limit."""
    records = int(limit * seconds) * RECORDS
    with simulator(place.folder, 1, **knobs, **{f"{VENDOR}.rate": f"{limit:g}/s"}) as simulated:
        connections = {f"{VENDOR}_default": simulated.connections[f"{VENDOR}_default"]}
        (pushed,) = push_all(place, connections, [Order(number=1, records=records, batch_size=RECORDS)])
        answers, stored = simulated.creates(VENDOR), simulated.count(VENDOR)
    return Found(
        limit=limit,
        records=records,
        succeeded=pushed.statuses.get("succeeded", 0),
        stored=stored,
        seconds=pushed.seconds,
        answers=answers,
    )


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m bench.pace", description="Does a push find a limit by itself?")
    made.add_argument("--limits", type=float, nargs="+", default=[5.0, 20.0, 100.0], help="requests a second")
    made.add_argument("--seconds", type=float, default=30.0, help="at the whole limit (default: %(default)g)")
    made.add_argument("--latency", default="20ms-60ms", help="of an answer (default: %(default)s)")
    made.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help=f"a knob, such as {VENDOR}.retry_after=none"
    )
    made.add_argument("--write", type=Path, metavar="FILE", help="Markdown")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if a bound is broken."""
    options = parser().parse_args(arguments)
    knobs = {f"{VENDOR}.latency": options.latency, **dict(pair.partition("=")[::2] for pair in options.set)}
    found: list[Found] = []
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-pace-") as folder:
        for limit in options.limits:
            try:
                found.append(measure(Place(Path(folder), None), limit, options.seconds, knobs))
            except BrokenError as error:
                broken.append(f"{limit:g}/s: {error}")
    said = ", ".join(f"`{name}={value}`" for name, value in knobs.items())
    lines = [f"{RECORDS} records a request, {said}", "", *table(HEAD, [one.row() for one in found])]
    broken += [text for one in found for text in one.complaints()]
    return conclude("A limit that nobody states", lines, broken, options.write)


if __name__ == "__main__":
    sys.exit(main())
