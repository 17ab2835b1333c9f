"""``python -m airflow_provider_contacts.simulator``: the command."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence

from airflow_provider_contacts.cli import program
from airflow_provider_contacts.cli.definition import SIMULATE
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.asgi import is_loopback
from airflow_provider_contacts.simulator.knobs import Knob
from airflow_provider_contacts.simulator.server import listen, serve, url_of


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    name = "python -m airflow_provider_contacts.simulator"
    return program.fill(argparse.ArgumentParser(prog=name, description=f"{SIMULATE.help}."), SIMULATE)


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
    yield "[SEED], [FOUND], [INFERRED], [UNKNOWN]: on what evidence a behaviour rests (docs/vendors/index.md)"
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
    """Run the command; return its exit code."""
    return program.run(SIMULATE, parser().parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Serve until somebody stops it."""
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


def _line(name: str, knob: Knob) -> str:
    choices = f" ({', '.join(knob.choices)})" if knob.choices else ""
    return f"  {name:34} {knob.default or '-':16} {knob.meaning}{choices}"


if __name__ == "__main__":
    sys.exit(main())
