"""Run the given benchmarks in sequence, by default all except the long ones: python -m benchmarks [NAME ...]"""

import argparse
import subprocess
import sys

SHORT = ("evaluation", "soft_nms", "roi_align", "stage1_step", "test_pass", "demo", "desk")
LONG = ("fidelity", "gpu_schedule")                     # take half an hour or more, or need a GPU

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", default=SHORT, metavar="NAME", help=", ".join((*SHORT, *LONG)))
names = parser.parse_args().names
if unknown := set(names) - {*SHORT, *LONG}:
    parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join((*SHORT, *LONG))}")
failed = [name for name in names if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode]
sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
