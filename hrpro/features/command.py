"""`python -m hrpro extract`: compute a data set's features from its videos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hrpro.progress import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET_DIR", help="folder with videos/ and the splits")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per processor)")


def run(args: argparse.Namespace) -> int:
    """Extract features, showing a progress bar; the exit status is 2 if any video failed."""
    from hrpro.features.extract import extract_dataset  # loads the decoder only when needed

    done = extract_dataset(args.dataset, show, args.workers)
    print()
    print(f"{args.dataset}: {len(done.made)} videos extracted, {len(done.kept)} had features already, "
          f"{len(done.failed)} failed.")
    for note in done.notes.values():
        print(f"note: {note}")
    for fault in done.failed.values():
        print(f"error: {fault}", file=sys.stderr)
    return 2 if done.failed else 0
