"""The site of this folder: ``make docs``.

Its source is the whole checkout, so that the links of a page to files beside this folder work on the site, too: one to
Markdown leads to its page, one to any other file downloads it.
"""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

project = "airflow-provider-contacts"
release = version = version_of(project)
html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "bench/RESULTS.md", "campaigns/*.md"]
exclude_patterns = [".*", "build", "dist", "mutants", "tests"]

# Headings are addressed as on GitHub.
myst_heading_anchors = 6

# Every link must lead somewhere, those of docstrings too.
nitpicky = True
nitpick_ignore_regex = [("py:class", r"collections\.abc\.\w+")]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_use_type_comments = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True


def read(app: Any, name: str, content: list[str]) -> None:
    """Complete pages, which stay plain Markdown in the checkout: links show titles for names of files."""
    folder = Path(app.srcdir, name).parent
    content[0] = re.sub(
        r"\[\w+\.md\](?=\(([\w./]+\.md)[)#])", lambda found: f"[{title(folder / found[1])}]", content[0]
    )
    if name == "README":
        # The index takes its place in the navigation. Its picture is one for each theme.
        plain = re.sub(r"<picture>.*?<img ([^>]*)>.*?</picture>", plain_image, content[0], flags=re.DOTALL)
        content[0] = f"---\norphan: true\n---\n\n{plain}"
    elif name == "docs/decisions/README":
        content[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"


def title(page: Path) -> str:
    """Return the first heading of a page."""
    return page.read_text("utf-8").partition("\n")[0].removeprefix("# ")


def plain_image(found: re.Match[str]) -> str:
    """Return an image of HTML as one of Markdown."""
    words = dict(re.findall(r'(\w+)="([^"]*)"', found[1]))
    return f"![{words['alt']}]({words['src']})"


def leave_type(_app: Any, _env: Any, node: Any, shown: Any) -> Any:
    """Leave names of Airflow and Python in signatures without a link."""
    while node is not None and node.tagname != "desc_signature":
        node = node.parent
    return shown if node is not None else None


def leave_out(_app: Any, _kind: str, _name: str, found: Any, *_more: Any) -> bool | None:
    """Leave out the fields of named tuples, which their class describes."""
    return True if (getattr(found, "__doc__", None) or "").startswith("Alias for field number") else None


def shorten(_app: Any, _kind: str, _name: str, _found: Any, _options: Any, signature: str | None, returned: Any) -> Any:
    """Put three dots for defaults that have no literal, so that a signature can be read and broken into lines."""
    return re.sub(r"<factory>|<function .*?>(?=[,)])", "...", signature or "") or None, returned


def lead_in(app: Any, problem: Exception | None) -> None:
    """Let the address of the site lead to its first page."""
    if problem is None and app.builder.format == "html":
        text = (
            f'<!doctype html>\n<title>{project}</title>\n<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        )
        Path(app.outdir, "index.html").write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Register what this site does besides."""
    app.connect("source-read", read)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("autodoc-process-signature", shorten)
    app.connect("missing-reference", leave_type)
    app.connect("build-finished", lead_in)
