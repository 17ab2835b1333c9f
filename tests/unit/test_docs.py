from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.engine.plan import Plan
from airflow_provider_contacts.error_codes import CODES as CODES_OF_STATUS
from airflow_provider_contacts.hooks import HOOKS
from airflow_provider_contacts.ledgers.sql import ddl, forgetting, pruning, tables
from airflow_provider_contacts.ledgers.sql.tables import COUNTERS
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.task.replay import HINTS
from airflow_provider_contacts.task.settle import WHY
from airflow_provider_contacts.task.summary import Report
from airflow_provider_contacts.vendor_kit.contract import CODES
from tests.support import reference_tables
from tests.support.pages import PAGES, ROOT, blocks, name_of, text_of


def words(text: str) -> set[str]:
    """Return the names in code spans."""
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", " ".join(re.findall(r"`([^`\n]+)`", text))))


def test_the_written_tables_are_those_of_the_package() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        assert reference_tables.written(text) == text, "python -m tests.support.reference_tables writes them"
    assert sorted(reference_tables.named()) == sorted(reference_tables.BLOCKS)


@pytest.mark.parametrize("name", vendors.names())
def test_every_vendor_is_documented_with_its_limits_and_settings(name: str) -> None:
    vendor, hook = vendors.load(name), HOOKS[name]
    page = text_of("docs/vendors/index.md")
    lines = page.splitlines()
    title = re.compile(rf"^\| *\[?{re.escape(vendor.title)}\b", re.MULTILINE)
    assert len(title.findall(page)) >= 2
    assert title.search(text_of("docs/fields.md"))
    assert {hook.__name__, hook.conn_type} <= words(page)
    row = next(line for line in lines if f"]({name}.md)" in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert re.match(r"\d+", cells[3])[0] == str(vendor.limits.batch_size)  # type: ignore[index]  # no number is a failure too
    rate = vendor.limits.requests_per_second
    assert cells[4].startswith(f"{rate:g} a second" if rate else f"{vendor.limits.max_in_flight} in flight")
    assert {setting.name for setting in vendor.destination.settings} <= words(cells[2])


def test_every_flat_name_is_documented() -> None:
    flat = {name for one in vendors.names() for name in vendors.load(one).contract.shorthands}
    assert {name for name in flat if name.removesuffix(".*") not in words(text_of("docs/fields.md"))} == set()


def test_every_column_is_documented() -> None:
    built = tables.build("contact_outcomes", "sqlite")
    known = words(text_of("docs/outcomes.md"))
    assert set(ddl.view_columns(built)) - known == set()
    assert {column.name for column in built.runs.columns} - known - set(tables.COUNTERS) == set()


def test_the_shown_summary_adds_up_and_has_every_counter() -> None:
    (text,) = blocks("docs/operators.md", "json")
    shown = json.loads(text)
    assert set(shown) >= {*COUNTERS, "error_codes"}
    seven = [f"num_{status.value}" for status in Status if status is not Status.SENDING]
    assert shown["num_planned"] == sum(shown[name] for name in seven)


def test_every_field_of_the_summary_is_explained() -> None:
    report = Report(
        vendor="dex", sync_id="s", sync_run_id="r", destination_object=None, outcomes_table=None, wanted="all"
    )
    pushed, planned = report.summary(), report.planned(Plan(1), 0.1)
    assert {*planned, *pushed} - words(text_of("docs/operators.md").partition("## The summary")[2]) == set()


def test_every_word_of_an_outcome_and_a_verdict_is_explained() -> None:
    assert {status.value for status in Status} <= words(text_of("docs/outcomes.md"))
    assert {f"num_{kind}" for kind in WHY} <= words(text_of("docs/settle_and_replay.md"))
    counts = {*pruning.COUNTS, *(f"num_{one.value}" for one in forgetting.ForgetResult)}
    assert counts <= words(text_of("docs/keeping.md"))


def test_every_extra_is_documented() -> None:
    extras = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    assert [name for name in extras if f"`{name}`" not in text_of("docs/versions.md")] == []


CODE_PATTERNS = (
    r'\b(?:Doubt|Again|Stop|NotSent|NoAnswer|PydanticCustomError|RecordError)\(\s*"([a-z][a-z0-9_]*)"',
    r'\bdoubt_all\([^"\n]*"([a-z_]+)"',
    r'\[\(\s*"([a-z_]+)",',
    r'\bcode="([a-z_]+)"',
    r'\.pull\(None, "([a-z_]+)"',
    r'\b(?:code|UNSPECIFIED) = "([a-z_]+)"',
    r'^NOT_A_MAPPING[^"]*"([a-z_]+)"',
)


def codes_in_the_source() -> set[str]:
    """Return the error codes that the package itself makes, as far as they stand there as literals."""
    package = ROOT / "airflow_provider_contacts"
    rooms = ("engine", "reconcile", "records", "transport", "vendor_kit", "vendors")
    files = [path for room in rooms for path in (package / room).glob("*.py")]
    return {
        code
        for file in files
        for pattern in CODE_PATTERNS
        for code in re.findall(pattern, file.read_text("utf-8"), re.MULTILINE)
    }


def test_every_code_of_ours_is_explained() -> None:
    found = codes_in_the_source() | set(CODES.values()) | {"wrong_type"}
    assert {"missing_key", "interrupted", "not_a_mapping", "counters_disagree", "unspecified"} <= found
    assert (found | set(HINTS)) - {code for codes in CODES_OF_STATUS.values() for code in codes} == set()


def named_knobs() -> list[str]:
    """Return every knob that a page names."""
    whole = re.compile(r"\b(?:all|intermezzo|nedzo|dex|apptoto|talkdesk)\.(?:read\.|token\.)?[a-z][a-z0-9_]*(?==|\": )")
    return sorted({knob for page in PAGES for knob in whole.findall(page.read_text("utf-8"))})


def test_every_named_knob_exists() -> None:
    known = {name for name, _ in Simulator().all_knobs()}
    shared = {f"all.{name.partition('.')[2]}" for name in known}
    assert "dex.store_then_drop" in named_knobs()
    assert set(named_knobs()) - known - shared == set()


def test_the_shown_knob_values_are_taken() -> None:
    pairs = re.findall(r"`([a-z]+\.[a-z0-9_.]+)=([^`]+)`", text_of("docs/simulator.md"))
    simulator = Simulator()
    assert len(pairs) > 10
    for name, value in pairs:
        simulator.set(name, value)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_named_file_exists(page: Path) -> None:
    named = re.findall(r"`((?:tests|demo|bench|campaigns|example_dags)/[a-z_/]+\.py)`", page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_decisions_are_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\((\d{4}-[a-z-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert listed == sorted(page.name for page in folder.glob("0*.md"))
