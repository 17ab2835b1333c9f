"""Cutting a stream into requests: batches concatenate to the input, within the vendor's count and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def batches(
    items: Iterable[Item],
    *,
    batch_size: int,
    body_bytes: int,
    size_of: Callable[[Item], int],
    overhead: int = 0,
) -> Iterator[list[Item]]:
    """Yield non-empty batches that concatenate to ``items``.

    An item that is larger than ``body_bytes`` by itself comes alone: the vendor, not we, gets to refuse it.

    :param size_of: encoded bytes of one item.
    :param overhead: encoded bytes of the envelope; each item but the first costs one more byte for its comma.
    """
    batch: list[Item] = []
    total = overhead
    for item in items:
        size = size_of(item)
        if batch and (len(batch) >= batch_size or total + 1 + size > body_bytes):
            yield batch
            batch, total = [], overhead
        total += size + (1 if batch else 0)
        batch.append(item)
    if batch:
        yield batch
