"""Both stages on simulated THUMOS14 features, several seeds, quirks on and off, compared with the published program."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks import simulated
from hrpro.data.run import Run
from hrpro.jobs.train import train

PUBLISHED = Path(__file__).resolve().parents[1] / "tests" / "reference" / "thumos14_simulated.json"


def published(stage: int) -> float:
    """Mean AVG(.1:.7) of the published program over its seeds, at the last step or epoch."""
    figures = json.loads(PUBLISHED.read_text())
    key = {1: "by_step", 2: "by_epoch"}[stage]
    return float(np.mean([list(seed[key].values())[-1] for seed in figures[f"stage{stage}"].values()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    simulated.add_arguments(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quirks", nargs="+", default=["false", "true"], choices=["false", "true"])
    parser.add_argument("--ckpt", type=Path, default=Path("ckpt/fidelity"), help="where runs are kept and taken up")
    parser.add_argument("--set", nargs="+", default=[], dest="overrides", metavar="KEY=VALUE")
    args = parser.parse_args()
    for quirks in args.quirks:
        figures: dict[int, list[float]] = {1: [], 2: []}
        for seed in args.seeds:
            config = simulated.thumos(args, args.ckpt, f"seed={seed}", f"reference_quirks={quirks}",
                                      f"task_info=quirks-{quirks}-{seed}", *args.overrides)
            run = Run.of(config)
            if not run.stage(2).metrics_file.exists():
                train(config, resume=True)
            for stage, values in figures.items():
                metrics = json.loads(run.stage(stage).metrics_file.read_text())
                values.append(metrics["last"]["average"]["0.1:0.7"])
        for stage, values in figures.items():
            mean, reference = float(np.mean(values)), published(stage)
            print(f"stage {stage}, quirks {'on ' if quirks == 'true' else 'off'}: AVG(.1:.7) {mean:.4f} "
                  f"({', '.join(f'{value:.4f}' for value in values)}), published {reference:.4f}, "
                  f"difference {100 * (mean - reference):+.2f} points")


if __name__ == "__main__":
    main()
