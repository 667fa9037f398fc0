"""`python -m hrpro jobs`: what runs and ran in the background."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from hrpro.jobs.background import cancel, find_job, jobs, status, tail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ckpt_path", default="ckpt", metavar="DIR", help="folder that runs are kept under")
    parser.add_argument("--cancel", metavar="ID", help="stop a job; what it trained so far is kept")
    parser.add_argument("--log", metavar="ID", help="print the end of a job's log")


def run(args: argparse.Namespace) -> int:
    """List the jobs, or cancel one, or show its log; InputError if there is no such job."""
    root = Path(args.ckpt_path)
    if args.cancel:
        job = find_job(root, args.cancel)
        running = status(job).running
        if running:
            cancel(job)
        print(f"{job.id}: {'asked to stop' if running else 'has already ended'}.")
    elif args.log:
        print("\n".join(tail(find_job(root, args.log), 1000)))
    else:
        for job in jobs(root):
            now = status(job)
            state = "stopping" if now.stopping and now.running else now.state
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started))
            print(f"{job.id}  {state:9}  {since}  {job.label}" + (f"  ({now.message})" if now.message else ""))
    return 0
