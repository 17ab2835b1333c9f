from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.engine.departures import Queue, cuts
from airflow_provider_contacts.records.batch import History, joined
from airflow_provider_contacts.vendor_kit.vendor import Limits
from tests.support.batches import batch_of

SIZES = st.lists(st.integers(min_value=1, max_value=60), max_size=40)


def cut(sizes: list[int], *, batch_size: int = 100, body_bytes: int = 1000, overhead: int = 0) -> list[list[int]]:
    limits = Limits(batch_size=batch_size, body_bytes=body_bytes)
    return [[sizes[place] for place in places] for places in cuts(sizes, limits, overhead)]


def length(batch: list[int], overhead: int) -> int:
    return len(b"x" * overhead + b",".join(b"x" * size for size in batch))


@given(SIZES, st.integers(1, 7), st.integers(1, 120), st.integers(0, 20))
def test_requests_are_the_input_within_both_limits_and_as_large_as_they_can_be(
    sizes: list[int], batch_size: int, body_bytes: int, overhead: int
) -> None:
    found = cut(sizes, batch_size=batch_size, body_bytes=body_bytes, overhead=overhead)
    assert [size for batch in found for size in batch] == sizes
    for batch in found:
        assert 1 <= len(batch) <= batch_size
        assert len(batch) == 1 or length(batch, overhead) <= body_bytes
    for batch, following in itertools.pairwise(found):
        more = [*batch, following[0]]
        assert len(more) > batch_size or length(more, overhead) > body_bytes


def test_a_request_may_be_full_to_the_last_byte() -> None:
    assert cut([4, 5], body_bytes=12, overhead=2) == [[4, 5]]
    assert cut([4, 6], body_bytes=12, overhead=2) == [[4], [6]]
    assert cut([2, 2], body_bytes=5) == [[2, 2]]


def test_a_record_that_is_too_large_comes_alone() -> None:
    assert cut([1, 5000, 1], body_bytes=10) == [[1], [5000], [1]]
    assert cut([5000], body_bytes=10) == [[5000]]


def test_nothing_in_nothing_out() -> None:
    assert cut([]) == []


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 7))
def test_a_queue_keeps_every_record_in_order_whatever_comes_when(counts: list[int], batch_size: int) -> None:
    queue = Queue(Limits(batch_size=batch_size))
    names = (f"n{number}" for number in itertools.count())
    added: list[str] = []
    for count in counts:
        new = list(itertools.islice(names, count))
        added += new
        history = {0: History(claims=len(added))} if new else {}
        queue.add(batch_of(*new, histories=history))
        queue.cut(ended=False)
        assert all(len(batch) == batch_size for batch in queue.ready)
    queue.cut(ended=True)
    everything = joined(queue.ready)
    assert list(everything.identifiers) == added
    firsts = itertools.accumulate(counts)
    assert everything.histories == {
        total - count: History(claims=total) for total, count in zip(firsts, counts, strict=True) if count
    }
    assert queue.clear() == everything
    assert queue.empty


def test_what_waits_goes_first_when_its_moment_has_come() -> None:
    queue = Queue(Limits(batch_size=1))
    queue.add(batch_of("new"))
    queue.cut(ended=True)
    queue.wait([batch_of("later", due=9.0), batch_of("first", due=1.0), batch_of("second", due=2.0)])
    assert (queue.next_due, len(queue)) == (1.0, 4)
    queue.promote(2.0)
    assert [name for batch in queue.take(3) for name in batch.identifiers] == ["first", "second", "new"]
    assert queue.next_due == 9.0
