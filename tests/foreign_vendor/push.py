"""Push to Acme by its installed distribution, and print what was seen: run by ``tests/integration``, in a process."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import acme_contacts
from acme_contacts.vendor import VENDOR
from airflow.sdk import DAG
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from airflow_provider_contacts import conformance, vendors
from airflow_provider_contacts.operators import PushContactsOperator
from airflow_provider_contacts.task.connections import contacts_hook
from tests.airflow_harness import MemAPI, airflow_connections, run_op

RECEIVED: list[Any] = []


class Acme(BaseHTTPRequestHandler):
    """The vendor: it loses one contact."""

    def answer(self, status: int, body: Any) -> None:
        """Send an answer."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """Let in who has the key."""
        self.answer(200 if self.headers["Authorization"] == "Bearer acme_1" else 401, {})

    def do_POST(self) -> None:
        """Create people."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        RECEIVED.append([self.path, body])
        people = [{**person, "id": f"p{place}"} for place, person in enumerate(body["people"])]
        self.answer(201, {"people": [person for person in people if person["name"] != "Lost"]})

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def check_conformance() -> int:
    """Return how many exchanges the distribution brings, all of which its vendor passes."""
    folder = Path(acme_contacts.__file__).parent / "exchanges"
    exchanges = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
    conformance.check_vendor(VENDOR)
    conformance.check_exchanges(exchanges)
    for exchange in exchanges:
        conformance.check_exchange(VENDOR, exchange)
    return len(exchanges)


def main() -> None:
    """Print everything as one line of JSON."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Acme)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stored = {"conn_type": "acme", "host": f"http://127.0.0.1:{server.server_port}", "password": "acme_1"}
    stored["extra"] = json.dumps({"folder_id": "f1"})
    with DAG("foreign", schedule=None):
        operator = PushContactsOperator(
            task_id="push",
            contacts_conn_id="mine",
            records=[{"first_name": "Ann", "last_name": "Ames"}, {"name": "Lost"}, {"name": 7}],
            max_rejected=1,
            max_unknown=1,
        )
    api = MemAPI(connections={"mine": stored})
    result = run_op(operator, api)
    with airflow_connections({"mine": stored}):
        hook = contacts_hook("mine")
        works = hook.test_connection()
    runtime: Any = ProvidersManagerTaskRuntime()  # type: ignore[no-untyped-call]  # Airflow's own
    known = runtime.hooks["acme"]
    sys.stdout.write(
        json.dumps(
            {
                "exchanges": check_conformance(),
                "state": str(result.state),
                "received": RECEIVED,
                "summary": next(value for (_, key), value in api.xcoms.items() if key == "return_value"),
                "hook": type(hook).__name__,
                "works": works,
                "loaded": vendors.load("acme") is VENDOR,
                "foreign": vendors.foreign_names(),
                "ours": vendors.names(),
                "known": [known.hook_class_name, known.package_name],
            }
        )
    )


if __name__ == "__main__":
    main()
