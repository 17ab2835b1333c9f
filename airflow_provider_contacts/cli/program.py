"""The program around every command: its parser, exit codes, and what is said where it fails."""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from airflow_provider_contacts.cli.arguments import Command
from airflow_provider_contacts.cli.definition import COMMANDS, PURPOSE
from airflow_provider_contacts.cli.output import shown
from airflow_provider_contacts.errors import ContactsError

NAME = "python -m airflow_provider_contacts"
FAILED, USAGE = 1, 2
INTERRUPTED, READER_GONE = 130, 141
"""As a shell counts SIGINT and SIGPIPE."""


class UsageError(Exception):
    """The arguments make no sense together; the text says what to give."""


def main(arguments: Sequence[str] | None = None, commands: Sequence[Command] = COMMANDS, name: str = NAME) -> int:
    """Run one of some commands; return its exit code."""
    parser = argparse.ArgumentParser(prog=name, description=f"{PURPOSE}.")
    some = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in commands:
        described = f"{command.help}."
        fill(some.add_parser(command.name, help=command.help, description=described), command)
    options = parser.parse_args(arguments)
    return run(next(one for one in commands if one.name == options.command), options)


def fill(parser: argparse.ArgumentParser, command: Command) -> argparse.ArgumentParser:
    """Give a parser the arguments of a command."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, command.epilog
    for one in command.arguments:
        parser.add_argument(*one.flags, **one.settings)
    return parser


def run(command: Command, options: argparse.Namespace) -> int:
    """Run a command with its parsed arguments; return its exit code."""
    prepare_streams()
    module, _, function = command.function.rpartition(".")
    try:
        with redirect_stdout(sys.stderr):  # to which Airflow then writes its logs, if it is imported here
            work = getattr(importlib.import_module(module), function)
        code: int = work(options)
        sys.stdout.flush()
    except UsageError as error:
        return say(error, USAGE)
    except ContactsError as error:
        return say(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads has seen enough, as head has. What is left must not be tried again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return code


def say(error: Exception, code: int) -> int:
    """Print an error as one line; return the exit code."""
    sys.stderr.write(f"error: {shown(' '.join(str(error).split()))}\n")
    return code


def prepare_streams() -> None:
    """Keep logs out of the output, and have every terminal take every text."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who has started this process
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # until the end
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # what is no text is refused where keys are read
    for handler in logging.getLogger().handlers:
        # Airflow's own do so from 3.3 on, for commands with an output format.
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
