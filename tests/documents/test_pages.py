"""Every block of the documents, run as a reader runs it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.documents.blocks import blocks_in
from tests.documents.runners import Page
from tests.support.pages import PAGES, name_of

FEW = 0.1


@pytest.mark.parametrize("path", [path for path in PAGES if blocks_in(path)], ids=name_of)
def test_every_block_runs(path: Path, page: Page, ran: Counter[str]) -> None:
    wrong, skipped = [], []
    for block in blocks_in(path):
        if block.way == "no":
            continue
        try:
            page.run(block)
        except pytest.skip.Exception as reason:
            skipped.append(f"{block}: {reason}")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the block's
            wrong.append(f"{block}: {str(error) or repr(error)}")
        ran[block.language] += 1
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)
    if skipped:
        pytest.skip("; ".join(skipped))


def test_few_blocks_are_not_run() -> None:
    blocks = [block for path in PAGES for block in blocks_in(path)]
    assert len(blocks) > 60
    assert len([block for block in blocks if block.way == "no"]) <= FEW * len(blocks)
