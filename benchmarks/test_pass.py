"""One test pass of each stage on 210 simulated THUMOS14 videos: scores, proposals, soft-NMS, files, evaluation."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from benchmarks import simulated
from hrpro.training import stage1, stage2
from hrpro.training.session import load_weights, open_session

PUBLISHED = {1: 30., 2: 70.}                            # seconds the published program takes on two such cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    simulated.add_arguments(parser)
    parser.add_argument("--steps", type=int, default=100, help="training steps before the pass")
    parser.add_argument("--ckpt", type=Path, help="take the trained run under this folder instead")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        config = simulated.thumos(args, args.ckpt or Path(temporary), f"num_iters={args.steps}",
                                  f"test_iter={args.steps}", "max_epochs=1")
        if not args.ckpt:
            stage1.train(config)
            stage1.test(config)
            stage2.train(config)
        for number in (1, 2):
            with open_session(config, number, "test") as session:
                began = time.perf_counter()
                if number == 1:
                    raw = stage1.propose(session, load_weights(session, stage1.build_model(session)), "test").segments
                else:
                    model = load_weights(session, stage2.build_model(session))
                    raw = stage2.detect(session, model, *stage2.read_proposals(config, ("test",), session.dataset))
                made = time.perf_counter()
                session.measure(raw, session.state["at"])
                spent = time.perf_counter() - began
            print(f"stage {number} test pass: {spent:.1f} s for {len(raw)} proposals "
                  f"({made - began:.1f} s of it making them; {torch.get_num_threads()} threads). "
                  f"The published program was once timed at {PUBLISHED[number]:.0f} s on two such cores.")


if __name__ == "__main__":
    main()
