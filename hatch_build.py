"""Gives a distribution its addresses: those that ``pyproject.toml`` names, and none where it names none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
IMAGE = re.compile(r"<picture>.*?</picture>\n*|!\[[^]]*\]\((?!https?:)[^)]*\)", re.DOTALL)
SOURCE = re.compile(r'((?:src|srcset)="|!\[[^]]*\]\()(?!https?:)([^")]+)')
LINK = re.compile(r"(?<!!)\[([^]]+)\]\((?!https?:|mailto:)([^)]+)\)")


class AddressHook(MetadataHookInterface):
    """Fills in ``urls`` and ``readme``, which pyproject.toml calls dynamic."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Write both, for the repository and the site of documents that the configuration names."""
        repository, site = (self.config.get(name, "").rstrip("/") for name in ("repository", "documentation"))
        metadata["urls"] = urls(repository, site)
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        # What is shown in blocks of code is no link.
        parts = [part if CODE.fullmatch(part) else linked(part, repository) for part in CODE.split(text)]
        metadata["readme"] = {"content-type": "text/markdown", "text": "".join(parts)}


def urls(repository: str, site: str) -> dict[str, str]:
    """Return the addresses of the project; Airflow's page of providers links to the one of the documentation."""
    if not repository:
        return {"Documentation": site} if site else {}
    return {
        "Documentation": site or f"{repository}/blob/HEAD/docs/index.md",
        "Source": repository,
        "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


def linked(text: str, repository: str) -> str:
    """Return Markdown whose relative links lead into the repository; without one, their text alone and no image."""
    if not repository:
        return LINK.sub(r"\1", IMAGE.sub("", text))
    text = SOURCE.sub(rf"\1{repository}/raw/HEAD/\2", text)
    text = re.sub(r"\]\((#[^)]+)\)", r"](README.md\1)", text)
    return LINK.sub(rf"[\1]({repository}/blob/HEAD/\2)", text)
