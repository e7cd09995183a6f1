"""Are models whose samples take one pass worth their name? Small ones, trained in minutes.

On scikit-learn's digits, 8x8, 17 levels, a tenth held out, and on eight Gaussians:

    vae                bits per dim (importance-weighted bound) beside independent pixels, and the
                       error of what it restores beside as many principal components
    vae labels         the same bits under labels, and the share of samples that an independent
                       classifier takes for what was asked
    autoencoder        the error of what it restores
    gan                Fréchet distance to real images over that of these to each other, beside a
                       Gaussian fitted to the pixels
    gan labels         the share of samples that the independent classifier takes for what was asked
    toy                how many of eight modes a game covers

    PYTHONPATH=python python -m bench.bench_one_pass                    all, three seeds
    PYTHONPATH=python python -m bench.bench_one_pass --only gan --seed 1
    PYTHONPATH=python python -m bench.bench_one_pass --quick            a few steps of each
    ... --resume                                                        keeps the runs in the file

Every run is saved when it is done. Figures do not depend on the load of the machine; seconds do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.harness import save
from bench.one_pass_experiments import EXPERIMENTS, Experiment

RESULTS = Path(__file__).parent / "results" / "one_pass.json"
SEEDS = (0, 1, 2)


def measured(name: str, experiment: Experiment, seed: int, quick: bool) -> dict[str, Any]:
    """One run: its figures, and how long it took."""
    begin, recipe = time.perf_counter(), experiment.quick if quick else experiment.recipe
    figures = experiment.run(seed, recipe, f"{name} seed {seed}")
    rounded = {key: float(f"{value:.5g}") for key, value in figures.items()}
    return rounded | {"seconds": round(time.perf_counter() - begin, 1)}


def summary(experiment: Experiment, runs: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Mean, lowest and highest of each figure, and whether every run reached what it should."""
    names = next(iter(runs.values()))
    figures = {name: [run[name] for run in runs.values()] for name in names}
    spreads = {
        name: {
            "mean": float(f"{statistics.fmean(found):.5g}"),
            "low": min(found),
            "high": max(found),
        }
        for name, found in figures.items()
    }
    return {
        "runs": len(runs),
        "target": experiment.target,
        "reached": all(experiment.reached(run) for run in runs.values()),
        **spreads,
    }


def measure(
    name: str, seeds: Sequence[int], quick: bool, results: dict[str, Any], out: Path
) -> None:
    """The runs of an experiment that the file lacks, each saved at once."""
    experiment = EXPERIMENTS[name]
    task = asdict(experiment.quick if quick else experiment.recipe)
    row = results["rows"].setdefault(name, {"task": task, "runs": {}})
    if row["task"] != json.loads(json.dumps(task)):
        row |= {"task": task, "runs": {}}  # of another recipe: they would not go together
    for seed in seeds:
        if str(seed) not in row["runs"]:
            row["runs"][str(seed)] = measured(name, experiment, seed, quick)
            save(out, results)
        figures = "  ".join(f"{k} {v:g}" for k, v in row["runs"][str(seed)].items())
        print(f"{name} seed {seed}: {figures}", flush=True)
    row["summary"] = summary(experiment, row["runs"])
    save(out, results)
    reached = "reached" if row["summary"]["reached"] else "MISSED"
    print(f"{name}: {experiment.target}: {reached}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), default=list(EXPERIMENTS))
    parser.add_argument("--seed", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    parser.add_argument("--resume", action="store_true", help="keep the runs already in the file")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.quick and options.out == RESULTS:
        parser.error("--quick needs --out: its figures are no results")
    return options


def main() -> None:
    options = _options()
    results: dict[str, Any] = {
        "bench": "one_pass",
        "machine": machine.facts() | {"threads": torch.get_num_threads()},
        "rows": {},
    }
    if options.resume and options.out.exists():
        results["rows"] = json.loads(options.out.read_text(encoding="utf-8"))["rows"]
    for name in options.only:
        measure(name, options.seed, options.quick, results, options.out)


if __name__ == "__main__":
    main()
