"""`python -m hrpro evaluate`: average precision of a result file against ground truth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from hrpro.evaluation.report import evaluate_files, parse_tiou, table

DEFAULT_TIOU = "0.1:0.7:0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gt", type=Path, required=True, help="ground truth, ActivityNet JSON")
    parser.add_argument("--pred", type=Path, required=True, help="detections, ActivityNet JSON")
    parser.add_argument("--subset", required=True, help="which videos of the ground truth: Test, validation, …")
    parser.add_argument("--tiou", default=DEFAULT_TIOU, help="thresholds as first:last:step or value,value,… "
                        "(default %(default)s)")
    parser.add_argument("--ignore-video", nargs="+", action="extend", default=[], metavar="ID",
                        help="videos to leave out")
    parser.add_argument("--strict", action="store_true", help="count annotated segments without length as actions that "
                        "cannot be found, as ActivityNet's evaluator does (default: leave them out, as training does)")
    parser.add_argument("--json", action="store_true", help="print JSON; fractions, not percent")


def run(args: argparse.Namespace) -> int:
    """Print the report on standard output, notes on standard error."""
    found = evaluate_files(args.gt, args.pred, args.subset, parse_tiou(args.tiou), args.ignore_video,
                           strict=args.strict)
    print(orjson.dumps(found.precision.to_json(), option=orjson.OPT_INDENT_2).decode() if args.json
          else table(found.precision))
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0
