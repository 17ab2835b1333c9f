"""The addresses that hatch_build.py gives a distribution."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://git.example/acme/contacts"
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PAGE = """See [the docs](docs/a.md#b), [below](#below) and [Airflow](https://airflow.example).

<picture>
  <source media="(prefers-color-scheme: dark)" srcset="docs/dark.webp">
  <img alt="A page" src="docs/light.webp">
</picture>

![drawn](docs/life.svg)

```python
names[0](path)
```
"""


def metadata(root: Path, **config: str) -> dict[str, Any]:
    pytest.importorskip("hatchling", reason="the build backend is not installed here")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Any] = {}
    module.AddressHook(str(root), {"path": "hatch_build.py", **config}).update(found)
    return found


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(PAGE, "utf-8")
    return tmp_path


def test_without_an_address_there_are_none_and_no_image_is_broken(page: Path) -> None:
    found = metadata(page, repository="", documentation="")
    assert found["urls"] == {}
    text = found["readme"]["text"]
    assert text.splitlines()[0] == "See the docs, below and [Airflow](https://airflow.example)."
    assert "docs/" not in text
    assert "names[0](path)" in text


def test_a_repository_makes_every_link_and_image_absolute(page: Path) -> None:
    found = metadata(page, repository=f"{REPOSITORY}/")
    assert found["urls"]["Source"] == REPOSITORY
    assert found["urls"]["Documentation"] == f"{REPOSITORY}/blob/HEAD/docs/index.md"
    text = found["readme"]["text"]
    assert f"[the docs]({REPOSITORY}/blob/HEAD/docs/a.md#b)" in text
    assert f"[below]({REPOSITORY}/blob/HEAD/README.md#below)" in text
    assert "[Airflow](https://airflow.example)" in text
    assert re.findall(rf'(?:="|\(){REPOSITORY}/raw/HEAD/([^")]+)', text) == [
        "docs/dark.webp", "docs/light.webp", "docs/life.svg",
    ]  # fmt: skip
    assert "names[0](path)" in text


@pytest.mark.parametrize("repository", [REPOSITORY, ""])
def test_a_site_is_the_documentation(page: Path, repository: str) -> None:
    found = metadata(page, repository=repository, documentation="https://docs.example/contacts/")
    assert found["urls"]["Documentation"] == "https://docs.example/contacts"


def test_what_the_changelog_and_documentation_lead_to_is_there() -> None:
    paths = [url.partition("/blob/HEAD/")[2] for url in metadata(ROOT, repository=REPOSITORY)["urls"].values()]
    assert [path for path in paths if path] == ["docs/index.md", "CHANGELOG.md"]
    assert all((ROOT / path).is_file() for path in paths if path)


def test_no_relative_link_of_the_readme_is_left() -> None:
    for config in ({"repository": REPOSITORY}, {}):
        text = FENCED.sub("", metadata(ROOT, **config)["readme"]["text"])
        targets = re.findall(r'(?:\]\(|(?:src|srcset|href)=")([^")]+)', text)
        assert [one for one in targets if not one.startswith("https://")] == []
