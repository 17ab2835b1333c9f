from __future__ import annotations

import importlib
import re

import pytest

from tests.support.pages import ROOT, text_of


def test_the_gallery_has_every_example_dag_once() -> None:
    shown = re.findall(
        r"^\| \[(example_\w+\.py)\]\(\.\./example_dags/\1\) \|", text_of("docs/examples.md"), re.MULTILINE
    )
    assert sorted(shown) == sorted(path.name for path in (ROOT / "example_dags").glob("*.py"))


@pytest.mark.parametrize("module", ["operators", "hooks", "decorators"])
def test_the_page_on_python_has_every_public_name(module: str) -> None:
    shown = re.findall(r"^\.\. auto\w+:: (\w+)$", text_of("docs/api.md"), re.MULTILINE)
    names = importlib.import_module(f"airflow_provider_contacts.{module}").__all__
    assert [name for name in names if name not in shown] == []
