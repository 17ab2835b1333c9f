"""Text that others wrote, made visible: nothing in it may act, hide, or rearrange what stands around it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from markupsafe import Markup, escape

UNSEEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}
"""Categories of characters that nobody sees, or that rearrange others."""

BLANK_AT_AN_END = re.compile(r"^ +| +$")


def parts_of(text: str) -> Iterator[tuple[bool, str]]:
    """Yield each character with whether it is unseen; such a one by its code."""
    for one in text:
        unseen = one != " " and unicodedata.category(one) in UNSEEN
        yield unseen, f"U+{ord(one):04X}" if unseen else one


def visible(value: object) -> object:
    """Return what a template may write anywhere, an attribute included: text with its unseen characters as codes.

    It is applied to every expression of every template; what is markup already stays.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(f"[{part}]" if unseen else part for unseen, part in parts_of(value))


def foreign(value: object) -> Markup:
    """Return a vendor's text or a key in a direction of its own, with boxes in place of what is not seen.

    A blank at an end has a box too: it makes another key.
    """
    text = str(value)
    box = Markup('<span class="unseen">{}</span>')
    ends = BLANK_AT_AN_END.search(text) is not None
    if text.isprintable() and not ends:
        return Markup("<bdi>{}</bdi>").format(text)
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    boxed = [box.format("U+0020")] * before
    boxed += [box.format(part) if unseen else escape(part) for unseen, part in parts_of(inner)]
    boxed += [box.format("U+0020")] * (len(text) - before - len(inner))
    return Markup("<bdi>{}</bdi>").format(Markup().join(boxed))


def block(text: str) -> Markup:
    """Return a text of several lines, for an element that keeps them."""
    return Markup("\n").join(escape(visible(line)) for line in text.split("\n"))
