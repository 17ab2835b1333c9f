"""The tables of codes in docs/outcomes.md, from what the package says of its codes."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_contacts.error_codes import CODES, STATUS_WORDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "outcomes.md"
START, END = "<!-- written by python -m tests.support.code_tables -->\n", "<!-- end -->\n"


def marked(text: str) -> str:
    """Return a text with its names of parameters and columns as code."""
    return re.sub(r'\b\w*[a-z]_\w+(="\w+")?', r"`\g<0>`", text)


def tables() -> str:
    """Return one table a status, in Markdown."""
    parts = []
    for status, codes in CODES.items():
        words = STATUS_WORDS[status]
        parts.append(f"**`{status}`**: {marked(words.meaning)} {marked(words.advice)}\n\n")
        asked = any(code.advice for code in codes.values())
        parts.append(
            "| code | meaning | what to do |\n| --- | --- | --- |\n" if asked else "| code | meaning |\n| --- | --- |\n"
        )
        for code, (meaning, advice) in codes.items():
            cells = [f"`{code}`", marked(meaning), *([marked(advice)] if asked else [])]
            parts.append(f"| {' | '.join(cells)} |\n")
        parts.append("\n")
    return "".join(parts)


def written(text: str) -> str:
    """Return the page's text with the tables of today."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{tables()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
