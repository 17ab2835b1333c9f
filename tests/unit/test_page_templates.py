from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from airflow_provider_contacts.ledgers.reports.shapes import CodeCount, Page
from airflow_provider_contacts.page.hostile_text import foreign
from airflow_provider_contacts.page.plots import bar_of, plot_of
from airflow_provider_contacts.page.rendering import environment, pretty, query, render, seconds
from tests.support.page_contexts import CONTEXTS, FACTS, IN_DOUBT, NO_FACTS, Viewer, days, of_run

STATIC = Path(__file__).resolve().parents[2] / "airflow_provider_contacts/page/static"
PUBLISHED = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
VOID = {"meta", "link", "input", "br", "img", "rect", "path"}


class Seen(HTMLParser):
    """What a browser would see: every element with its attributes, in balance, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements = list[tuple[str, dict[str, str | None]]]()
        self.open = list[str]()
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def shown(case: str, viewer: Viewer | None = None, **changed: Any) -> str:
    template, context = CONTEXTS[case]
    return render(template, viewer=viewer or Viewer(), **context | changed)


def test_every_template_has_a_case() -> None:
    names = {name for name, _ in CONTEXTS.values()} | {"layout.html", "macros.html"}
    assert set(environment().list_templates()) == names


@pytest.mark.parametrize("in_frame", [False, True])
@pytest.mark.parametrize("case", CONTEXTS)
def test_a_page_keeps_to_its_policy_and_can_be_used_by_all(case: str, in_frame: bool) -> None:
    html = shown(case, Viewer(in_frame=in_frame))
    seen = Seen(html)
    html.encode()  # a lone surrogate would not leave the server

    # No inline script or style, and nothing of a vendor as markup: only our elements and attributes.
    assert [one.get("src") for one in seen.of("script")] == [
        "/contacts/static/contacts.js",
        "/contacts/static/htmx-2.0.11.min.js",
    ]
    assert seen.of("style", "img", "iframe") == []
    attributes = {name for _, given in seen.elements for name in given}
    assert [name for name in attributes if name == "style" or name.startswith("on")] == []
    addresses = [
        str(given[name]) for _, given in seen.elements for name in ("href", "action", "hx-get") if name in given
    ]
    assert [one for one in addresses if not re.fullmatch(r"[/#][!-~]*", one)] == []
    assert not re.search("[\u202e\u200b\x00\x1b\ud800]", html)

    # By keyboard and by screen reader.
    ids = Counter(given["id"] for _, given in seen.elements if "id" in given)
    assert [one for one, count in ids.items() if count > 1] == []
    assert [one for one in seen.of("svg") if "aria-label" not in one and one.get("aria-hidden") != "true"] == []
    assert len(seen.of("table")) == len(seen.of("caption"))
    assert len(seen.of("h1")) == 1
    fields = [one for one in seen.of("input", "select", "textarea") if one.get("type") != "hidden"]
    assert len(fields) == len(seen.of("label"))
    named = {one["for"] for one in seen.of("label") if "for" in one} | {one.get("href") for one in seen.of("a")}
    assert {str(one["id"]) for one in seen.of("textarea")} <= named
    assert "#content" in named


def test_hostile_text_is_shown_as_what_it_is() -> None:
    text = Seen(shown("run_hostile")).text
    assert "<script>alert(1)</script>" in text
    assert "{{ 7*7 }}U+202Egnp.exeU+200BU+001B[31mU+0000U+D800U+0020" in text
    assert '"name": "[U+202E]<script>' in text


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("ada@example.com", "<bdi>ada@example.com</bdi>"),
        ("a b & <c>", "<bdi>a b &amp; &lt;c&gt;</bdi>"),
        ("مرحبا 東京", "<bdi>مرحبا 東京</bdi>"),
        (" 17", '<bdi><span class="unseen">U+0020</span>17</bdi>'),
        ("17\u00a0\n", '<bdi>17<span class="unseen">U+00A0</span><span class="unseen">U+000A</span></bdi>'),
        ("\u2066x\U000e0041", '<bdi><span class="unseen">U+2066</span>x<span class="unseen">U+E0041</span></bdi>'),
        ("  ", '<bdi><span class="unseen">U+0020</span><span class="unseen">U+0020</span></bdi>'),
        ("", "<bdi></bdi>"),
    ],
)
def test_what_nobody_sees_has_a_box(text: str, html: str) -> None:
    assert foreign(text) == html


@pytest.mark.parametrize("case", ["run", "sync_doubts", "record"])
def test_keys_and_texts_are_hidden_unless_they_may_be_seen(case: str) -> None:
    hidden = shown(case, clear={} if case == "record" else False)
    assert not re.search("example\\.com|is not a valid phone number|has 140|\\+49 17", hidden)
    assert IN_DOUBT.digest in hidden or case == "record"
    clear = shown(case, clear={"crm_nightly": True} if case == "record" else True)
    assert ("is not a valid phone number" in clear) is (case != "sync_doubts")
    assert "example.com" in clear


def test_the_position_in_the_input_is_that_of_the_table() -> None:
    assert "<dt>Position in the input, from 0</dt><dd>41</dd>" in shown("record")


def test_a_record_in_doubt_has_its_own_configuration() -> None:
    text = shown("record_in_doubt")
    assert text.count("<summary>Settle it</summary>") == 1
    assert f"&#34;{IN_DOUBT.digest}&#34;: &#34;&#34;" in text
    assert "settle-record1" in text


def test_only_a_run_in_progress_is_asked_for_again() -> None:
    running, over = shown("run_running"), shown("run")
    assert 'hx-get="/contacts/dags/crm_nightly/runs/9" hx-trigger="every 5s"' in running
    assert "hx-trigger" not in over


def test_the_last_rows_offer_no_further_ones_and_another_target_gets_the_page() -> None:
    more = render("run.html", "more", viewer=Viewer(), **of_run(page=Page((IN_DOUBT,), None), next_url=None))
    assert more.strip().startswith("<tbody>")
    assert 'id="more"' not in more
    assert "<html" in render("run.html", "content.of.another", viewer=Viewer(), **of_run())


def test_airflow_is_a_link_outside_of_its_frame_and_an_address_inside() -> None:
    framed = Viewer(airflow="/af", base="/af/contacts", in_frame=True, can_download=False)
    addresses = [str(one.get("data-path")) for one in Seen(shown("run", framed)).of("code") if "data-path" in one]
    assert [one for one in addresses if not one.startswith("/af/") or "/af/af" in one] == []
    assert "/af/contacts/dags/crm_nightly/runs/7" in addresses
    path = "/dags/crm_nightly/runs/scheduled__2026-12-01T03%3A00%3A00%2B00%3A00/tasks/push_contacts?try_number=1"
    assert f'<a href="/af{path}">' in shown("run", Viewer(airflow="/af"))
    inside = shown("run", Viewer(airflow="/af", in_frame=True))
    assert f'<a href="/af{path}">' not in inside
    assert f'data-path="/af{path}"' in inside


def test_a_run_says_what_its_rows_do_not() -> None:
    words = shown("run")
    for text in ("A later run has taken over 21 records", "517 outcomes have no row", "3 of the skipped have changed"):
        assert text in words
    assert "taken over" not in shown("run", facts=NO_FACTS)
    assert "33<span" in shown("run", facts=FACTS)
    cased = replace(FACTS, codes=tuple(CodeCount("rejected", code, None, 1) for code in ("TAKEN", "taken")))
    assert shown("run", facts=cased).count('<option value="TAKEN"') == 1
    assert shown("run", facts=cased).count('<option value="taken"') == 1


def test_a_bar_shows_one_of_a_million_and_what_is_left() -> None:
    one, rest = bar_of({"num_succeeded": 999_999, "num_rejected": 1})
    assert (rest.status, rest.count, round(rest.size, 1)) == ("rejected", 1, 1.5)
    assert one.size + rest.size == pytest.approx(100, abs=0.02)
    assert [(part.start, part.size) for part in bar_of({"num_succeeded": 25, "num_total": 100})] == [(0, 25)]
    assert bar_of({}) == []


def test_the_plots_say_that_they_count_no_contacts() -> None:
    assert "Outcomes a day A record is counted once a push: " in " ".join(Seen(shown("runs")).text.split())


def test_a_plot_has_one_scale_for_its_days() -> None:
    drawn = plot_of(days(), ["succeeded"])
    assert (len(drawn.columns), drawn.most) == (30, 11800)
    assert max(part.size for column in drawn.columns for part in column.segments) == 100
    assert plot_of([], ["succeeded"]).most == 0


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ('{"a":1.10,"b":["<"]}', '{\n  "a": 1.10,\n  "b": [\n    "<"\n  ]\n}'),
        ('{"a": "\ud800\u202e"}', '{"a": "[U+D800][U+202E]"}'),
        ("no JSON", "no JSON"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_payload_is_shown_as_it_was_sent(text: str, html: str) -> None:
    assert pretty(text) == escape(html)


def test_small_words() -> None:
    assert [seconds(value) for value in (0.34, 59.9, 94.2, 3725)] == ["0.3 s", "59.9 s", "1 min 34 s", "1 h 2 min"]
    assert query({"a": None, "b": "", "c": "x y&z"}) == "?c=x+y%26z"
    assert query({"a": None}) == ""


def test_htmx_is_what_its_makers_published() -> None:
    files = {path.name: path.read_bytes() for path in STATIC.iterdir()}
    assert set(files) - {"icon.svg", "icon-dark.svg"} == {
        "contacts.css",
        "contacts.js",
        "htmx-2.0.11.LICENSE",
        "htmx-2.0.11.min.js",
    }
    assert sha256(files["htmx-2.0.11.min.js"]).hexdigest() == PUBLISHED
    assert files["contacts.css"].count(b"\n") < 400
