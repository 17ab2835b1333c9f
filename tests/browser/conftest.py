"""A real browser in front of a real Airflow: the one of ``make ui``, or the one that ``CONTACTS_UI`` names.

``CONTACTS_UI="http://127.0.0.1:8080 PASSWORD http://127.0.0.1:SIMULATOR"`` takes one that is running already.
``CONTACTS_UI_PYTHON`` is the Python that serves it, of an environment with another Airflow, say.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
ABSENT = "contacts/dags/example_dex/runs/999999"
DESKTOP, PHONE = (1280, 800), (390, 844)
IMAGES = ROOT / "docs" / "images" if os.environ.get("SCREENSHOTS") else None
Page = Any  # Playwright is in the environment of this session alone
Visit = Callable[..., Page]


@dataclass(frozen=True, slots=True)
class Airflow:
    """Where Airflow is, and how to ask it."""

    url: str
    password: str
    simulator: str

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Ask Airflow's own API as its administrator."""
        login = {"username": "admin", "password": self.password}
        token = self.fetch(f"{self.url}/auth/token", login)["access_token"]
        return self.fetch(f"{self.url}/api/v2/{path}", body, method, Authorization=f"Bearer {token}")

    @staticmethod
    def fetch(url: str, body: Any = None, method: str | None = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        request = Request(url, data, sent, method=method)  # noqa: S310  # loopback
        with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def version(self) -> tuple[int, int]:
        """Return major and minor version of this Airflow."""
        major, minor, *_ = self.ask("version")["version"].split(".")
        return int(major), int(minor)

    def fault(self, knobs: dict[str, Any]) -> None:
        """Set knobs of the simulator."""
        self.fetch(f"{self.simulator}/_simulator/faults", knobs)

    def run_of(self, dag_id: str) -> str:
        """Return the path of the newest run of a DAG."""
        (run,) = self.ask(f"dags/{dag_id}/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
        return f"dags/{dag_id}/runs/{run['dag_run_id']}"


@pytest.fixture(scope="session")
def chromium() -> str:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: install the distribution's package chromium")
    return CHROMIUM


@pytest.fixture(scope="session")
def airflow(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    assert chromium, "nothing is served where nobody looks"
    if known := os.environ.get("CONTACTS_UI"):
        yield Airflow(*known.split())
        return
    folder = tmp_path_factory.mktemp("ui")
    python = os.environ.get("CONTACTS_UI_PYTHON", sys.executable)
    command = [python, "-m", "demo.ui", "--port", "0", "--folder", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = ""
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                said += line
                if line.startswith("Ctrl-C"):
                    break
            told = re.findall(
                r"^Airflow +(\S+)/$|password: (\S+)$|^The simulator +(\S+)/_simulator", said, re.MULTILINE
            )
            assert len(told) == 3, said
            yield Airflow(*map("".join, told))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert left_over(folder) == []


def left_over(folder: Path) -> list[str]:
    """Return the processes that still belong to an Airflow in a folder."""
    home = f"AIRFLOW_HOME={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if home in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=FLAGS)


@pytest.fixture
def visit(browser: Any, airflow: Airflow) -> Iterator[Visit]:
    """Open windows of people who have logged in; what the console says of the page is a fault, and so is an error."""
    faults: list[str] = []
    contexts = []

    def open_window(size: tuple[int, int] = DESKTOP, theme: str = "light") -> Page:
        context = browser.new_context(
            base_url=f"{airflow.url}/",
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            has_touch=size == PHONE,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("console", lambda said: faults.append(f"{said.type}: {said.text}") if is_ours(said) else None)
        page.on("pageerror", lambda error: faults.append(str(error)) if "/contacts/" in (error.stack or "") else None)
        log_in(page, airflow.password)
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert faults == []


def is_ours(said: Any) -> bool:
    """Tell whether a word of the console is about the page, and not about Airflow's own UI."""
    place = said.location["url"]
    return said.type == "error" and "/contacts/" in place and not place.endswith(ABSENT)


def log_in(page: Page, password: str) -> None:
    page.goto("auth/login")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"^[^?]*(?<!login)$"))


def picture(page: Page, name: str, part: dict[str, float] | None = None) -> None:
    """Keep what is seen, or a part of it, where screenshots are wanted."""
    if IMAGES:
        session = page.context.new_cdp_session(page)
        clip = {"clip": {**part, "scale": 1}} if part else {}
        data = session.send("Page.captureScreenshot", {"format": "webp", "quality": 75, **clip})["data"]
        IMAGES.mkdir(exist_ok=True)
        (IMAGES / f"{name}.webp").write_bytes(base64.b64decode(data))
