"""Airflow's form of each vendor's connection, filled in as the vendor's page says: what is saved is the page's JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.conftest import Airflow, Page, Visit, picture
from tests.support.vendor_pages import PAGES, example_of, form_of

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed here: make browser").expect
STANDARD = {"host", "login", "password"}
MARGIN = 12


def open_form(page: Page, conn_id: str, title: str) -> Any:
    """Open the form of a new connection, and choose its type."""
    page.goto("connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.locator("[name=connection_id]").fill(conn_id)
    form.get_by_role("combobox").first.click()
    page.keyboard.type(title)
    page.keyboard.press("Enter")
    expect(form.get_by_role("heading", name="Standard Fields")).to_be_visible()
    return form


def fill(page: Page, form: Any, key: str, label: str, value: str) -> Any:
    """Fill in one field, and return its row of the form, which has the label of the page."""
    field = page.locator(f"[name={key if key in STANDARD else f'element_{key}'}]")
    row = form.locator("[role=group]").filter(has=field).first
    expect(row.locator("label")).to_have_text(label)
    if not value:
        assert field.input_value() == "", f"the page leaves {label} empty"
    elif field.get_attribute("type") == "hidden":
        row.get_by_role("combobox").click()
        page.keyboard.type(value)
        page.keyboard.press("Enter")
        expect(field).to_have_value(value)
    else:
        field.fill(value)
    if key == "password":
        assert field.get_attribute("type") == "password", "a picture shows no secret"
    return row


@pytest.mark.parametrize("name", PAGES)
def test_the_form_makes_the_connection_of_the_vendors_page(visit: Visit, airflow: Airflow, name: str) -> None:
    if airflow.version() < (3, 4):
        pytest.skip("the pictures show the form of Airflow 3.4")
    conn_id, example = f"{name}_default", example_of(name)
    extra = example.get("extra", {})
    page = visit(size=(1280, 1600))
    form = open_form(page, conn_id, name.capitalize())
    rows = [
        fill(page, form, key, label, str(example.get(key, "") if key in STANDARD else extra.get(key, "")))
        for key, label in form_of(name).items()
    ]
    # From its head to the last field of the page; nothing has the focus.
    form.get_by_role("heading", name="Standard Fields").click()
    frame = form.bounding_box()
    ends = [box["y"] + box["height"] for box in (row.bounding_box() for row in rows)]
    picture(page, f"connection-{name}", {**frame, "height": max(ends) + MARGIN - frame["y"]})
    try:
        form.get_by_role("button", name="Save").click()
        expect(form).to_be_hidden()
        saved = airflow.ask(f"connections/{conn_id}")
        assert {"conn_type": saved["conn_type"], "login": saved["login"], "host": saved["host"] or None} == {
            key: example.get(key) for key in ("conn_type", "login", "host")
        }
        kept = json.loads(saved["extra"])
        assert {key: kept[key] for key in extra} == extra
    finally:
        airflow.ask(f"connections/{conn_id}", method="DELETE")
