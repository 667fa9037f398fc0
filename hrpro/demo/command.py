"""`python -m hrpro demo`: generate the demo data set."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from hrpro.progress import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("dataset/demo"), metavar="DIR",
                        help="folder to make (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace a demo even if points were labelled in it")


def run(args: argparse.Namespace) -> int:
    """Generate the demo, showing a progress bar."""
    from hrpro.demo.make import make_demo  # loads drawing and video code only when needed

    began = time.monotonic()
    make_demo(args.out, show, force=args.force)
    print(f"\n{args.out}: made in {time.monotonic() - began:.0f} s.")
    return 0
