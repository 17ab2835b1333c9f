"""No outcome of a record slows a push: only what the vendor asks for does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_provider_contacts.engine.policy import judge
from airflow_provider_contacts.pacing.adaptive import RISE_SECONDS, AdaptivePace
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions
from airflow_provider_contacts.vendor_kit.vendor import Again, Limits, Payload, Response
from airflow_provider_contacts.vendors import nedzo
from tests.support.fake_vendor import VENDOR, Deed, World, names

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PAIR: Sequence[Payload] = ({"name": "a"}, {"name": "b"})
COUNT = 2000
REFUSED = 25
FAST = Limits(batch_size=50, max_in_flight=8)


def later(answer: Response, vendor: object = VENDOR, **assumptions: bool) -> bool:
    assert isinstance(vendor, type(VENDOR))
    return judge(answer, PAIR, vendor, Assumptions(**assumptions), NOW).later


WISH = {"retry-after": "7"}
LEFT_OUT = b'{"count": 2, "results": [{"at": 0, "rejected": "bad"}, {"at": 1, "again": "unprocessed"}]}'


@pytest.mark.parametrize(
    ("answer", "slower"),
    [
        (Response(429), True),
        (Response(425), True),
        (Response(503, WISH), True),
        (Response(503), False),
        (Response(500, WISH), False),
        (Response(400), False),
        (Response(422, body=b'{"named": [0]}'), False),
        (Response(200, body=LEFT_OUT), False),
        (Response(200, WISH, LEFT_OUT), True),
        (Response(200, WISH, b'{"count": 2, "results": [{"at": 0, "id": "1"}, {"at": 1, "id": "2"}]}'), False),
    ],
)
def test_only_a_wish_of_the_vendor_asks_for_fewer_requests(answer: Response, slower: bool) -> None:
    assert later(answer) is slower


def test_a_wish_counts_also_where_it_is_no_refusal() -> None:
    assert later(Response(503, WISH), retry_after_is_refusal=False)
    assert later(Response(409), replace(VENDOR, again_statuses=frozenset({409})))


@pytest.mark.parametrize(("status", "slower"), [(429, True), (425, True), (409, False), (422, False)])
def test_a_status_inside_of_a_2xx_asks_like_one_outside(status: int, slower: bool) -> None:
    body = b'{"status_code": %d, "message": "no"}' % status
    verdict = judge(Response(200, body=body), [{"email": "a@example.com"}], nedzo.VENDOR, Assumptions(), NOW)
    assert verdict.later is slower


def test_a_reader_need_not_say_whether_a_record_is_for_later() -> None:
    assert not Again("unprocessed").later


# A whole push, in the clock's own seconds.


def stops_at_the_first(refused: set[str], latency: float) -> World:
    """Return a vendor that refuses one record of a batch in a 2xx, and leaves out all others of it."""
    world = World(lambda _index, sent: Deed(delay=latency * len(sent), applies=not names_of(sent) & refused, edit=edit))
    world.server.verdicts = lambda payload: "rejected" if payload["name"] in refused else "created"
    return world


def edit(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    if not any("rejected" in row for row in rows):
        return rows
    return [row if "rejected" in row else {"at": row["at"], "again": "unprocessed"} for row in rows]


def names_of(sent: Sequence[Payload]) -> set[str]:
    return {payload["name"] for payload in sent}


def spread(count: int) -> set[str]:
    return {f"n{index * (COUNT // count)}" for index in range(count)}


def pushed_in(world: World, *, refused: int) -> float:
    began = world.time.seconds
    pushed = world.push(names(COUNT), limits=FAST)
    expected = {"succeeded": COUNT - refused, **({"rejected": refused} if refused else {})}
    assert pushed.counts() == expected
    return world.time.seconds - began


def test_records_left_out_beside_a_refused_one_go_again_at_full_pace() -> None:
    plain = pushed_in(stops_at_the_first(set(), 0.0002), refused=0)
    beside = pushed_in(stops_at_the_first(spread(REFUSED), 0.0002), refused=REFUSED)
    assert beside <= 2 * plain + 0.2


@pytest.mark.parametrize("named", [True, False])
def test_refused_batches_cost_their_requests_and_no_waiting(named: bool) -> None:
    refused = spread(REFUSED)

    def world(culprits: set[str]) -> World:
        # A refusal is answered at once, and a batch that is stored takes long: neither is slow for being the other.
        return World(
            lambda _index, sent: (
                Deed(delay=0.002, status=422, applies=False)
                if names_of(sent) & culprits
                else Deed(delay=0.02 * len(sent))
            ),
            refuses=lambda payload: payload["name"] in culprits,
            names=named,
        )

    plain = pushed_in(world(set()), refused=0)
    assert pushed_in(world(refused), refused=REFUSED) <= 1.6 * plain


def test_a_half_is_no_measure_for_a_whole_batch() -> None:
    pace = AdaptivePace(64)
    for index in range(64):
        pace.hear(index / 100, sent_at=index / 100, later=False, seconds=0.01, records=1)
    window = pace.window
    pace.hear(10.0, sent_at=9.0, later=False, seconds=0.01 + 3 * RISE_SECONDS, records=50)
    assert pace.window == window
    pace.hear(12.0, sent_at=11.0, later=False, seconds=0.01 + 6 * RISE_SECONDS + 1, records=50)
    assert pace.window < window
