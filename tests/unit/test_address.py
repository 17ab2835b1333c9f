"""What the parts of a URL become: an address, a request line, a proxy's credential."""

from __future__ import annotations

import httpx  # noqa: TID253  # get_conn() sends by it, and a request of a push must not look otherwise
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.transport.address import address_of, proxy_authorization, request_target

BASES = ("https://Vendor.Example", "http://h:8080", "https://[::1]:8443/base", "https://h:443/a", "http://127.0.0.1:80")


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "header"),
    [
        ("https://Vendor.Example/a", "vendor.example", 443, "vendor.example:443", "vendor.example"),
        ("https://vendor.example:443", "vendor.example", 443, "vendor.example:443", "vendor.example"),
        ("https://vendor.example:80", "vendor.example", 80, "vendor.example:80", "vendor.example:80"),
        ("http://vendor.example:443", "vendor.example", 443, "vendor.example:443", "vendor.example:443"),
        ("http://u:p@vendor.example", "vendor.example", 80, "vendor.example:80", "vendor.example"),
        ("https://[2001:DB8::1]", "2001:db8::1", 443, "[2001:db8::1]:443", "[2001:db8::1]"),
        ("http://[::1]:8780/dex", "::1", 8780, "[::1]:8780", "[::1]:8780"),
    ],
)
def test_an_address_is_named_as_http_names_it(url: str, host: str, port: int, authority: str, header: str) -> None:
    found = address_of(url)
    assert (found.host, found.port, found.tls) == (host, port, url.startswith("https"))
    assert (found.authority, found.host_header) == (authority, header)


SEGMENTS = st.lists(st.sampled_from([*"ab-_~!$&'()*+,;=:@é€漢", " ", "%2F", "%c3%A9", "%25"]), max_size=6).map("".join)


@given(
    base=st.sampled_from(BASES),
    path=st.lists(SEGMENTS, max_size=3).map("/".join),
    query=st.lists(
        st.tuples(st.text("ab &=+?#é%/", min_size=1, max_size=3), st.text("ab &=+", max_size=3)), max_size=2
    ),
)
def test_a_request_line_is_what_httpx_makes_of_it(base: str, path: str, query: list[tuple[str, str]]) -> None:
    url = f"{base}/{path}"
    made = httpx.URL(url, params=query) if query else httpx.URL(url)
    assert request_target(url, tuple(query)) == made.raw_path.decode()
    assert address_of(url).host_header == made.netloc.decode()


@pytest.mark.parametrize(
    ("url", "query", "target"),
    [
        ("https://h", (), "/"),
        ("https://h", (("a", "b"),), "/?a=b"),
        ("https://h/a?b=c d#e", (), "/a?b=c%20d"),
        ("https://h/a?b=c", (("d", "é"),), "/a?d=%C3%A9"),
    ],
)
def test_a_query_takes_the_place_of_the_urls_own(url: str, query: tuple[tuple[str, str], ...], target: str) -> None:
    assert request_target(url, query) == target


@pytest.mark.parametrize("mark", ["\r\n", "\t", "\x00", "\x7f", "\u2028"])
def test_what_no_request_line_can_carry_is_not_left_out_silently(mark: str) -> None:
    with pytest.raises(ValueError, match="no request line can carry this"):
        request_target(f"https://h/a{mark}b", ())


@pytest.mark.parametrize(
    ("proxy", "account"),
    [("http://user:pass@h:1", "dXNlcjpwYXNz"), ("http://a%40b:%3A%2F@h", "YUBiOjov"), ("http://user@h", "dXNlcjo=")],
)
def test_a_proxy_is_told_who_asks(proxy: str, account: str) -> None:
    assert proxy_authorization(proxy) == {"Proxy-Authorization": f"Basic {account}"}


def test_a_proxy_without_an_account_is_told_nothing() -> None:
    assert proxy_authorization("http://proxy.example:3128") == {}
