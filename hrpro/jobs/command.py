"""`python -m hrpro jobs`: list, cancel and inspect background jobs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from hrpro.jobs.background import cancel, find_job, read_jobs, status, tail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ckpt_path", default="ckpt", metavar="DIR", help="folder for runs")
    parser.add_argument("--cancel", metavar="ID", help="stop a job; what it trained so far is kept")
    parser.add_argument("--log", metavar="ID", help="print the end of a job's log")


def run(args: argparse.Namespace) -> int:
    """List the jobs, cancel one, or print its log; InputError if there is no such job."""
    root = Path(args.ckpt_path)
    if args.cancel is not None:
        job = find_job(root, args.cancel)
        now = status(job)
        if now.running:
            cancel(job)
        print(f"{job.id}: " + ("has already ended" if not now.running else
                               "was already asked to stop" if now.stopping else "asked to stop") + ".")
    elif args.log is not None:
        print("\n".join(tail(find_job(root, args.log), 1000)))
    else:
        found, broken = read_jobs(root)
        for job in found:
            now = status(job)
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started))
            print(f"{job.id}  {now.word:20}  {since}  {job.label}" + (f"  ({now.message})" if now.message else ""))
        for name, faults in broken.items():
            for fault in faults.splitlines():
                print(f"{name}  {'broken':20}  {fault}")
    return 0
