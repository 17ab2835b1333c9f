from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.engine.batching import batches

SIZES = st.lists(st.integers(min_value=1, max_value=60), max_size=40)


def cut(sizes: list[int], *, batch_size: int = 100, body_bytes: int = 1000, overhead: int = 0) -> list[list[int]]:
    found = batches(sizes, batch_size=batch_size, body_bytes=body_bytes, size_of=lambda size: size, overhead=overhead)
    return list(found)


def length(batch: list[int], overhead: int) -> int:
    return len(b"x" * overhead + b",".join(b"x" * size for size in batch))


@given(SIZES, st.integers(1, 7), st.integers(1, 120), st.integers(0, 20))
def test_batches_concatenate_to_the_input_within_both_limits(
    sizes: list[int], batch_size: int, body_bytes: int, overhead: int
) -> None:
    found = cut(sizes, batch_size=batch_size, body_bytes=body_bytes, overhead=overhead)
    assert [size for batch in found for size in batch] == sizes
    for batch in found:
        assert 1 <= len(batch) <= batch_size
        assert len(batch) == 1 or length(batch, overhead) <= body_bytes


@given(SIZES, st.integers(1, 7), st.integers(1, 120), st.integers(0, 20))
def test_a_batch_ends_only_where_the_next_item_does_not_fit(
    sizes: list[int], batch_size: int, body_bytes: int, overhead: int
) -> None:
    found = cut(sizes, batch_size=batch_size, body_bytes=body_bytes, overhead=overhead)
    for batch, following in itertools.pairwise(found):
        more = [*batch, following[0]]
        assert len(more) > batch_size or length(more, overhead) > body_bytes


def test_a_batch_may_be_full_to_the_last_byte() -> None:
    assert cut([4, 5], body_bytes=12, overhead=2) == [[4, 5]]
    assert cut([4, 6], body_bytes=12, overhead=2) == [[4], [6]]


def test_an_item_that_is_too_large_comes_alone() -> None:
    assert cut([1, 5000, 1], body_bytes=10) == [[1], [5000], [1]]
    assert cut([5000], body_bytes=10) == [[5000]]


def test_no_last_single_item_is_lost() -> None:
    for count in range(1, 12):
        assert [len(batch) for batch in cut([1] * count, batch_size=5)] == [5] * (count // 5) + [count % 5] * (
            count % 5 > 0
        )


def test_nothing_in_nothing_out() -> None:
    assert cut([]) == []


def test_batches_are_cut_while_the_input_is_read() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for item in range(1, 100):
            read.append(item)
            yield item

    next(batches(source(), batch_size=2, body_bytes=1000, size_of=lambda _: 1))
    assert len(read) <= 3


def test_without_an_envelope_the_items_alone_count() -> None:
    assert list(batches([2, 2], batch_size=9, body_bytes=5, size_of=lambda size: size)) == [[2, 2]]
