"""The command line: `python -m hrpro COMMAND …`. Only the requested command's module is imported."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from hrpro.errors import Cancelled, InputError, printable, raise_if, system_remedy

# command: (module with add_arguments(parser) and run(args) -> exit code, description)
COMMANDS = {
    "demo": ("hrpro.demo.command", "make the demo data set"),
    "create": ("hrpro.create", "make a data set from a folder of videos"),
    "validate": ("hrpro.data.validate", "check a data set and say what to fix"),
    "labels": ("hrpro.labels.command", "who set which label; compare, merge and export labels"),
    "extract": ("hrpro.features.command", "compute a data set's features from its videos"),
    "proxy": ("hrpro.video.command", "make copies of the videos that browsers cannot play"),
    "train": ("hrpro.jobs.train", "train and test both stages in a row, here or in the background"),
    "jobs": ("hrpro.jobs.command", "list, watch and cancel background runs"),
    "evaluate": ("hrpro.evaluation.command", "average precision of a result file against ground truth"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m hrpro`; returns the exit code: 0 success, 2 invalid input, 130 cancelled."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] not in COMMANDS:
        overview = argparse.ArgumentParser(
            prog="python -m hrpro", description="HR-Pro: point-supervised temporal action localization",
            epilog="commands:\n" + "\n".join(f"  {name:10}{does}" for name, (_, does) in COMMANDS.items())
            + "\n\nThe paper's own command line is `python main.py --help`.",
            formatter_class=argparse.RawDescriptionHelpFormatter)
        overview.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
        overview.parse_args(arguments[:1])
    name, *rest = arguments
    module, description = COMMANDS[name]
    return run_command(module, f"python -m hrpro {name}", description, rest)


def run_command(module: str, prog: str, description: str, arguments: Sequence[str]) -> int:
    """Parse a command's arguments and run it; invalid input gives error messages, not tracebacks."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:                  # closed, as with `>&-` in a shell
            setattr(sys, name, open(os.devnull, "w"))   # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):        # not in a notebook
        sys.stdout.reconfigure(errors="backslashreplace")               # file names may not be UTF-8
    try:
        with _sigterm_interrupts():
            command = importlib.import_module(module)
            parser = argparse.ArgumentParser(prog=prog, description=description)
            command.add_arguments(parser)
            raise_if(_argument_faults(arguments))
            code = command.run(parser.parse_args(arguments)) or 0
            sys.stdout.flush()
            return code
    except InputError as error:
        print("\n".join(f"error: {fault}" for fault in error.faults), file=sys.stderr)
        return 2
    except BrokenPipeError:                             # a reader such as `head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(printable(f"error: {place}{error.strerror or error}. {system_remedy(error)}"), file=sys.stderr)
        return 2
    except (Cancelled, KeyboardInterrupt):
        print("cancelled", file=sys.stderr)
        return 130


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM interrupt a command as Ctrl-C does, so that it removes its unfinished files and ends its workers."""
    try:
        if set_here := signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:                                  # signal handlers can only be set in the main thread
        set_here = False
    try:
        yield
    finally:
        if set_here:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _argument_faults(arguments: Sequence[str]) -> list[str]:
    """Faults of arguments that cannot be valid for any option or path."""
    faults = []
    for place, text in enumerate(arguments, 1):
        if not text:
            faults.append(f"argument {place} is empty. Give a value, or leave it out.")
        elif text.startswith("-") and text.endswith("=--"):                 # argparse would lose the value
            faults.append(f"{text[:100]}: is not a value. Write one after the =.")
        elif not _is_text(text):
            faults.append(f"argument {place} ({text[:100]}) is not UTF-8 text. Rename the file or folder.")
    return faults


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
