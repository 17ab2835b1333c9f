"""``python -m airflow_provider_contacts.simulator``: the command."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence

from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.asgi import is_loopback
from airflow_provider_contacts.simulator.knobs import FORMS, Knob
from airflow_provider_contacts.simulator.server import listen, serve, url_of

EXAMPLES = f"""\
examples:
  --set all.latency=80ms --set all.rate=60/min      slow, and choosy
  --set talkdesk.store_then_drop=0.02               2 answers in 100 are lost after the records are stored
  --set talkdesk.store_then_drop=next:1             exactly the next one is
  --set apptoto.read.http_500=always                look-ups fail, creating works
  --set 'nedzo.reject=email~@bad\\.example$'         refuse some contacts
  --set intermezzo.mode=partial --set intermezzo.token_life=30
  --set talkdesk.record_lists=warm,cold=PHONE_NUMBER --set dex.credential=dex_one,dex_two      lists, accounts

A fault happens as its trigger says: {FORMS}.
A name is vendor.knob for requests that create, vendor.read.knob for those that read, vendor.token.knob for the token
endpoint; "all" stands for every vendor. --list-knobs shows them all.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m airflow_provider_contacts.simulator",
        description="Serve Intermezzo, Nedzo, Dex, Apptoto and Talkdesk on this machine, faults on demand.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    made.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="another name of this host")
    made.add_argument("--port", type=_port, default=8780, help="port, 0 for a free one (default: %(default)s)")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a knob; may be repeated")
    made.add_argument("--seed", type=int, default=0, help="seed of the random faults (default: %(default)s)")
    made.add_argument("--forget", action="store_true", help="count contacts instead of keeping them (reads find none)")
    made.add_argument("--list-knobs", action="store_true", help="print every knob, its default and meaning, and end")
    return made


def settings_of(pairs: Sequence[str]) -> dict[str, str]:
    """Return ``--set`` arguments as names and values."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {name}: NAME=VALUE is wanted")
        settings[name] = value
    return settings


def knob_lines(simulator: Simulator) -> Iterator[str]:
    """Yield what ``--list-knobs`` prints: what all vendors have once, then each vendor's own."""
    names: dict[str, list[tuple[str, Knob]]] = {}
    for whole, knob in simulator.all_knobs():
        vendor, _, name = whole.partition(".")
        names.setdefault(vendor, []).append((name, knob))
    shared = [(name, knob) for name, knob in names["dex"] if all((name, knob) in own for own in names.values())]
    once = [(name, knob) for name, knob in shared if not name.startswith(("read.", "token."))]
    yield "[SEED], [FOUND], [INFERRED], [UNKNOWN]: on what evidence a behaviour rests (README, The vendors)"
    yield ""
    yield "Every vendor (vendor.NAME or all.NAME; the faults also as vendor.read.NAME, vendor.token.NAME):"
    yield from (_line(name, knob) for name, knob in once)
    for vendor, own in names.items():
        yield ""
        yield f"{vendor}:"
        yield from (_line(f"{vendor}.{name}", knob) for name, knob in own if (name, knob) not in shared)


def start_lines(simulator: Simulator, url: str) -> Iterator[str]:
    """Yield what is printed at the start: the address, and a ready connection to each vendor."""
    yield f"Simulator at {url}  (stop with Ctrl+C; {url}/_simulator explains itself)"
    yield "A connection to each vendor; without the knob credential, any other of the right form is as good:"
    yield ""
    for name, connection in simulator.connections(url).items():
        yield f"export AIRFLOW_CONN_{name.upper()}_DEFAULT={shlex.quote(json.dumps(connection))}"
    yield ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        settings, hosts = settings_of(options.set), options.allow_host
        simulator = Simulator(settings, seed=options.seed, forget=options.forget, hosts=hosts)
        if options.list_knobs:
            print("\n".join(knob_lines(simulator)))  # noqa: T201  # the command's output
            return 0
        listener = listen(options.host, options.port)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # the command's output
        return 2
    except OSError as error:
        text = f"error: cannot listen at {options.host}:{options.port}: {error}; --port 0 takes a free port"
        print(text, file=sys.stderr)  # noqa: T201  # likewise
        return 1
    simulator.allow(options.host, listener.getsockname()[0])
    if not is_loopback(options.host):
        print(f"warning: contacts and knobs are open to everybody who can reach {options.host}", file=sys.stderr)  # noqa: T201  # likewise
    print("\n".join(start_lines(simulator, url_of(listener))), flush=True)  # noqa: T201  # likewise
    serve(simulator, listener)
    return 0


def _port(text: str) -> int:
    if not (text.isdecimal() and len(text) < 6 and int(text) < 65536):  # noqa: PLR2004  # what a port can be
        raise argparse.ArgumentTypeError("a number from 0 to 65535 is wanted")
    return int(text)


def _line(name: str, knob: Knob) -> str:
    choices = f" ({', '.join(knob.choices)})" if knob.choices else ""
    return f"  {name:34} {knob.default or '-':16} {knob.meaning}{choices}"


if __name__ == "__main__":
    sys.exit(main())
