"""What a person does with the page, in Airflow's own UI: one browser, one Airflow, as ``make ui`` serves it."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import unquote

import pytest

from tests.browser.conftest import ABSENT, DESKTOP, PHONE, Airflow, Page, Visit, picture

WAIT = 60.0
TALKDESK = "example_talkdesk/push@talkdesk_default:demo-list"
MISSING = "Playwright and axe are not installed here: make browser"
expect = pytest.importorskip("playwright.sync_api", reason=MISSING).expect
expect.set_options(timeout=20_000)
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=MISSING)
PICTURES = {(DESKTOP, "light"): "light", (DESKTOP, "dark"): "dark", (PHONE, "light"): "phone"}
WAYS = pytest.mark.parametrize(
    ("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop, light", "phone, dark"]
)


def contacts(page: Page) -> Any:
    """Open the page from Airflow's own navigation, and return its frame."""
    page.get_by_role("link", name="Contacts", exact=True).click()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Pushes")
    return frame


def open_run(place: Any, dag_id: str) -> None:
    """Open the newest run of a DAG."""
    place.get_by_label("DAG").select_option(dag_id)
    place.get_by_role("button", name="Filter").click()
    expect(place.get_by_role("link", name="Clear")).to_be_visible()
    place.get_by_role("link", name=dag_id, exact=True).first.click()
    expect(place.get_by_role("heading", level=1)).to_have_text("push")


def trigger(page: Page, airflow: Airflow, conf: str) -> None:
    """Start the replay with a configuration, and wait until it has succeeded."""
    if airflow.version() >= (3, 3):
        paste(page, conf)
    else:  # whose form loads its editor from the internet
        airflow.ask("dags/example_replay/dagRuns", {"logical_date": None, "conf": json.loads(conf)})
    end = time.monotonic() + WAIT
    while (run := newest(airflow))["state"] not in {"success", "failed"}:
        assert time.monotonic() < end, run
        time.sleep(0.5)
    assert (run["state"], run["conf"]) == ("success", json.loads(conf))


def paste(page: Page, conf: str) -> None:
    """Paste a configuration into the trigger form of the replay, and send that."""
    page.goto("dags/example_replay")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name=re.compile("Configuration JSON|Advanced Options")).click()
    form.locator(".monaco-editor").last.click()
    page.evaluate("text => navigator.clipboard.writeText(text)", conf)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("ControlOrMeta+v")
    # The form takes the configuration over when the editor is left.
    form.get_by_text("Trigger Dag -").click()
    expect(form.locator("[name=element_sync_id]")).to_have_value(json.loads(conf)["sync_id"])
    form.get_by_role("button", name="Trigger", exact=True).click()
    expect(form).to_be_hidden()


def newest(airflow: Airflow) -> Any:
    runs = airflow.ask("dags/example_replay/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
    return runs[0] if runs else {"state": "none yet"}


@WAYS
def test_a_rejected_contact_is_found_in_ten_seconds(visit: Visit, size: tuple[int, int], theme: str) -> None:
    frame = contacts(visit(size=size, theme=theme))
    open_run(frame, "example_intermezzo")
    row = frame.get_by_role("row").filter(has_text="INVALID_PHONE_NUMBER")
    count = row.get_by_role("link")
    rows = int(count.inner_text().split()[0])
    count.click()
    expect(frame.locator("section[aria-labelledby=rows] tbody tr")).to_have_count(rows)
    frame.locator("section[aria-labelledby=rows] tbody").get_by_role("button").first.click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("What became of one contact?")
    expect(frame.get_by_text("INVALID_PHONE_NUMBER").first).to_be_visible()
    frame.get_by_text("Message and payload").first.click()
    expect(frame.locator("pre").first).to_be_visible()


@WAYS
def test_a_doubt_is_settled_with_the_conf_that_the_page_offers(
    visit: Visit, airflow: Airflow, size: tuple[int, int], theme: str
) -> None:
    page = visit(size=size, theme=theme)
    frame = contacts(page)
    frame.get_by_role("link", name="In doubt").click()
    frame.get_by_role("link", name="Records of example_talkdesk").click()
    settle = json.loads(frame.get_by_role("textbox", name=re.compile("to settle")).input_value())
    assert settle["sync_id"] == TALKDESK
    found, missing = list(settle["found"])[:2]
    frame.get_by_role("button", name="Copy", exact=True).last.click()
    expect(frame.get_by_role("status")).to_have_text(re.compile("Copied|Selected"))
    conf = settle | {"found": {found: f"id-of-{found}"}, "missing": [missing], "settled_by": "ada"}
    trigger(page, airflow, json.dumps(conf, indent=2))
    page.goto("contacts/record")
    for digest, words in ((found, ("Settled by", "ada", f"id-of-{found}")), (missing, ("succeeded",))):
        page.get_by_label("Key, or its digest").fill(digest)
        page.get_by_role("button", name="Look up").click()
        record = page.get_by_role("listitem").filter(has_text=TALKDESK)
        for word in words:
            expect(record).to_contain_text(word)


def test_a_contact_in_doubt_stands_first_with_its_own_conf(visit: Visit) -> None:
    frame = contacts(visit())
    frame.get_by_role("link", name="In doubt").click()
    frame.get_by_role("link", name="Records of example_dex").click()
    digest = list(json.loads(frame.get_by_role("textbox", name=re.compile("to settle")).input_value())["found"])[-1]
    frame.get_by_role("link", name="One contact").click()
    key = frame.get_by_label("Key, or its digest")
    expect(key).to_be_focused()
    key.fill(digest)
    key.press("Enter")
    first = frame.locator(".timeline > li").first
    expect(first).to_contain_text("unknown")
    first.locator("summary", has_text="Settle it").click()
    assert list(json.loads(first.get_by_role("textbox").input_value())["found"]) == [digest]


def test_a_task_instance_leads_to_its_outcomes(visit: Visit, airflow: Airflow) -> None:
    page = visit()
    task = f"{airflow.run_of('example_apptoto')}/tasks/push"
    page.goto(f"{task}/details")
    page.get_by_role("link", name="Outcomes", exact=True).click()
    page.get_by_role("link", name="Log of this try").click()
    expect(page.locator("a[href*='/tasks/push/details']")).to_be_visible()
    assert unquote(page.url).removeprefix(f"{airflow.url}/").startswith(task)
    tabs = page.get_by_role("link", name="Contacts", exact=True)
    # The one is in the navigation; below Airflow 3.4, the other would stand on the tasks of every operator.
    expect(tabs).to_have_count(2 if airflow.version() >= (3, 4) else 1)
    if airflow.version() >= (3, 4):
        tabs.last.click()
        expect(page.frame_locator("iframe").get_by_text("11 rows of it")).to_be_visible()


def test_a_push_in_progress_is_alive(visit: Visit, airflow: Airflow) -> None:
    page = visit()
    # The refused ones are sent again.
    airflow.fault({"intermezzo.latency": "8000ms"})
    try:
        airflow.ask("dags/example_intermezzo/dagRuns", {"logical_date": None})
        page.goto("contacts/?dag_id=example_intermezzo&status=running")
        running, end = page.get_by_role("link", name="example_intermezzo", exact=True), time.monotonic() + WAIT
        while not running.count():
            assert time.monotonic() < end
            page.reload()
        running.click()
        expect(page.locator("#live")).to_have_attribute("data-status", "running")
    finally:
        airflow.fault({"intermezzo.latency": "0ms"})
    expect(page.locator("#live")).to_have_attribute("data-status", "partial")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(visit: Visit, size: tuple[int, int], theme: str) -> None:
    page = visit(size=size, theme=theme)
    found: list[str] = []

    def look(name: str, heading: str) -> None:
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        faults = axe.Axe().run(page).response["violations"]
        found.extend(f"{name}: {one['impact']} {one['id']}: {one['nodes'][0]['html']}" for one in faults)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found.extend([f"{name}: {wide} px wider than the window"] if wide else [])
        if name in {"runs", "run", "record"} and (size, theme) in PICTURES:
            picture(page, f"{name}-{PICTURES[size, theme]}")

    page.goto("contacts/")
    look("runs", "Outcomes a day")
    open_run(page, "example_apptoto")
    look("run", "Records")
    page.get_by_role("row").filter(has_text="http_400").get_by_role("link").first.click()
    page.locator("section[aria-labelledby=rows] tbody").get_by_role("button").first.click()
    page.get_by_text("Message and payload").first.click()
    look("record", "5 syncs know this record")
    page.get_by_label("Key, or its digest").fill("nobody at all")
    page.get_by_role("button", name="Look up").click()
    look("no-record", "No push has a row for this key")
    page.get_by_role("link", name="In doubt").click()
    look("doubts", "Ways out")
    page.get_by_role("link", name="Records of example_dex").click()
    look("sync-doubts", "Settle them")
    page.goto(ABSENT)
    look("problem", "There is nothing here")
    assert found == []


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit()
    page.goto("contacts/")

    def go(role: str, name: str) -> None:
        """Press the tab key until something has the focus, see that this shows, and press Enter."""
        place = page.get_by_role(role, name=name, exact=True).first
        for _ in range(120):
            page.keyboard.press("Tab")
            if place.evaluate("element => element === document.activeElement"):
                style = place.evaluate("element => getComputedStyle(element).outlineStyle")
                assert style != "none", f"{role} {name} does not show its focus"
                page.keyboard.press("Enter")
                return
        raise AssertionError(f"the tab key does not reach {role} {name}")

    go("link", "Skip to the content")
    expect(page.locator("main")).to_be_focused()
    go("link", "example_dex")
    expect(page.get_by_role("heading", level=1)).to_have_text("push")
    go("link", "In doubt")
    go("link", "Records of example_talkdesk")
    go("link", "Further rows")
    expect(page.get_by_role("status")).to_contain_text("further rows")
    go("button", "Copy")
    expect(page.get_by_role("status")).to_have_text("Copied.")
