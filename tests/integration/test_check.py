"""Whether a vendor's connection works: what is wrong is told at the step at which it shows, on real sockets."""

from __future__ import annotations

import dataclasses
import datetime as dt
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_contacts import vendors
from airflow_provider_contacts.hooks import HOOKS, DexHook
from airflow_provider_contacts.task.check import checked, reads
from airflow_provider_contacts.transport.probe import REACHED, Step
from tests.airflow_harness import airflow_connections
from tests.support.pushing import Served
from tests.support.sockets import Serve, fine, free_port, make_certificate, tls_of

pytestmark = pytest.mark.usefixtures("without_proxies")

SECRET = "dex_canary4711"
STEPS = ("connection", *REACHED, "credential", "destination")
WITH_TOKEN = ("connection", *REACHED, "token", *REACHED, "credential", "destination")


def check(destination: Mapping[str, Any] | None = None, **values: Any) -> list[Step]:
    with airflow_connections({"vendor": {"conn_type": "dex", "password": SECRET, **values}}):
        found = list(checked("vendor", destination))
    assert SECRET not in repr(found)
    return found


def failed(steps: list[Step], *, names: tuple[str, ...] = STEPS) -> str:
    """Return where a check stopped, and why: all before it is fine, nothing behind it is tried."""
    assert tuple(one.step for one in steps) == names
    place = [one.result for one in steps].index("failed")
    assert {one.result for one in steps[:place]} <= {"ok", "not tried"}
    assert {one.result for one in steps[place + 1 :]} <= {"not tried"}
    return f"{steps[place].step}: {steps[place].detail}"


def expired(folder: Path) -> tuple[str, str]:
    """Make a certificate that was valid until yesterday."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now - 2 * day).not_valid_after(now - day)
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    files = folder / "expired.pem", folder / "expired.key"
    files[0].write_bytes(built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    kind = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))
    return str(files[0]), str(files[1])


@pytest.fixture
def black_hole() -> Iterator[int]:
    """Return a port that accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_host_that_cannot_be_reached(serve: Serve, tmp_path: Path, black_hole: int, without_tls: int) -> None:
    def tls(files: tuple[str, str]) -> str:
        return f"https://localhost:{serve(fine, tls_of(files)).port}"

    def page() -> str:
        return f"http://127.0.0.1:{serve(lambda wire: wire.say(200, b'<html>Welcome</html>')).port}"

    own, other = (make_certificate(tmp_path, name, f"DNS:{name}") for name in ("localhost", "other.example"))
    old, port = expired(tmp_path), free_port()
    hasty = {"request_timeout": 0.3}
    for host, extra, told in (
        (
            "https://vendor.invalid",
            {},
            "name: the name of vendor.invalid cannot be resolved: check where the connection has this host",
        ),
        (f"https://localhost:{port}", {}, f"connect: localhost refuses connections on port {port}: nothing listens"),
        ("http://192.0.2.1", hasty | {"allow_http": True}, "connect: "),
        (f"https://localhost:{black_hole}", hasty, "tls: no connection to localhost came about within 0.3 s"),
        (
            f"https://localhost:{without_tls}",
            {},
            f"tls: localhost speaks no TLS on port {without_tls}: name",
        ),
        (tls(own), {}, "tls: the certificate of localhost is not accepted (self"),
        (tls(other), {"verify": other[0]}, "tls: the certificate of localhost is not accepted (Hostname mismatch"),
        (tls(old), {"verify": old[0]}, "tls: the certificate of localhost is not accepted (certificate has expired)"),
        (page(), {}, "credential: connection 'vendor': Dex at 127.0.0.1"),
    ):
        assert failed(check(host=host, extra=extra)).startswith(told)
    assert {one.result for one in check(host=tls(own), extra={"verify": own[0]})} == {"ok"}


@pytest.mark.parametrize("stated", [True, False])
def test_a_proxy_that_lets_nothing_through(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, black_hole: int, *, stated: bool
) -> None:
    def says(status: int) -> int:
        return serve(lambda wire: wire.say(status, b"")).port

    port = free_port()
    for proxy, told in (
        (
            "proxy.invalid:1",
            "name: the name of the proxy proxy.invalid cannot be resolved: check the connection's proxy",
        ),
        (f"localhost:{port}", f"connect: the proxy localhost refuses connections on port {port}"),
        (f"localhost:{black_hole}", "proxy: no connection to vendor.invalid came about within 0.5 s"),
        (f"localhost:{says(407)}", "proxy: the proxy asks for a user and a password, or refuses them (HTTP 407)"),
        (f"localhost:{says(502)}", "proxy: the proxy refuses a tunnel to vendor.invalid (HTTP 502)"),
    ):
        extra: dict[str, Any] = {"request_timeout": 0.5}
        url = f"http://user:{SECRET}@{proxy}"
        if stated:
            extra["proxy"] = url
        else:
            monkeypatch.setenv("HTTPS_PROXY", url)
        assert failed(check(host="https://vendor.invalid", extra=extra)).startswith(told)


@pytest.mark.parametrize("vendor", HOOKS)
def test_all_is_well(vendor: str, served: Served) -> None:
    steps = check(**served.simulator.connections(served.url)[vendor])
    wanted = WITH_TOKEN if vendor in {"intermezzo", "talkdesk"} else STEPS
    assert tuple(one.step for one in steps) == wanted
    # What a push does not ask for either.
    last = "not tried" if vendor in {"apptoto", "nedzo"} else "ok"
    assert [one.result for one in steps] == [*["ok"] * (len(wanted) - 1), last]
    assert served.simulator.vendors[vendor].counts["write"] == 0


@pytest.mark.parametrize(
    ("vendor", "knobs", "destination", "told"),
    [
        ("dex", {"read.http_401": "always"}, None, "credential: connection 'vendor': the test request failed (Dex at"),
        ("dex", {"read.http_403": "always"}, None, "says http_403): the credential lacks a right"),
        ("dex", {"read.http_404": "always"}, None, "says http_404): check the connection's host and path"),
        ("dex", {"read.http_500": "always"}, None, "says http_500); another try may help"),
        ("dex", {}, {"list": 1}, "destination: unknown keys ['list'] in destination for Dex, connection 'vendor'"),
        ("nedzo", {}, {"contact_list_id": "x"}, "destination: connection 'vendor': contact_list_id: "),
        ("talkdesk", {"token.http_401": "always"}, None, "token: the token endpoint at 127.0.0.1 refuses the client"),
        ("talkdesk", {}, {"record_list_id": "nobody"}, "says http_404): check the destination's record_list_id and"),
        ("intermezzo", {}, {"organization_id": "nobody"}, "destination: connection 'vendor': the destination cannot"),
        ("apptoto", {}, {"address_book": "Nobody"}, "there is no Apptoto address book 'Nobody'; there are: "),
        ("apptoto", {}, {"address_book_id": "x"}, "destination: "),
    ],
)
def test_a_vendor_that_refuses(
    served: Served, vendor: str, knobs: Mapping[str, str], destination: Mapping[str, Any] | None, told: str
) -> None:
    for name, value in knobs.items():
        served.simulator.set(f"{vendor}.{name}", value)
    steps = check(destination, **served.simulator.connections(served.url)[vendor])
    assert told in failed(steps, names=WITH_TOKEN if vendor in {"intermezzo", "talkdesk"} else STEPS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"conn_type": "http"}, "connection: contacts_conn_id: connection 'vendor' has the type 'http'"),
        ({"password": ""}, "connection: connection 'vendor': the password is missing"),
        ({"extra": {"vrify": False}}, "connection: unknown keys ['vrify'] in the extra of connection 'vendor'"),
        ({"host": "http://api.example"}, "connection: connection 'vendor': plain http to 'api.example' would show"),
    ],
)
def test_a_connection_that_makes_no_sense(change: dict[str, Any], told: str) -> None:
    assert failed(check(**change)).startswith(told)


def test_an_address_book_is_shown_with_its_id(served: Served) -> None:
    conn = served.simulator.connections(served.url)["apptoto"]
    steps = check({"address_book": "Demo"}, **conn)
    assert steps[-1].detail == "address_book 'Demo' is address_book_id 1"


def test_a_vendor_that_documents_no_read(served: Served) -> None:
    class Hook(DexHook):
        vendor = dataclasses.replace(vendors.load("dex"), check=None)

    with airflow_connections({"dex_default": served.simulator.connections(served.url)["dex"]}):
        hook = Hook()
        target = hook.target()
        with hook.client(target) as client:
            steps = list(reads(hook, target, client, None))
    assert [(one.step, one.result) for one in steps] == [("credential", "not tried"), ("destination", "ok")]
    assert steps[0].detail == "Dex documents no request that only reads: the credential is not tried"
    assert served.simulator.vendors["dex"].counts["read"] == 0
