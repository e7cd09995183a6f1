"""Does a model that `genfast.fit` trains predict as well as one that a plain script trains?

PixelCNN on scikit-learn's digits, 17 levels, under labels: by `genfast.fit`, and the same network
written by hand (`bench.plain_pixelcnn`) by a hand-written loop, of the same optimiser, schedule,
clipping, batch size and number of steps. A pair of runs begins with the same new weights and sees
the images in orders of their own. First both sides are held against each other: on the same weights
they give the same log-probabilities, and on the same weights and batches the same losses, step by
step.

    PYTHONPATH=python python -m bench.bench_bits_per_dim            all runs, some 10 minutes
    PYTHONPATH=python python -m bench.bench_bits_per_dim --quick    a few steps of a small network
    ... --resume                                                    keeps the runs in the file

Held-out bits do not depend on the load of the machine; minutes do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

import genfast
from bench import machine
from bench.harness import save
from bench.plain_pixelcnn import PlainPixelCNN, Recipe, bits, shuffled, train
from genfast import PixelCNN, data
from genfast.data import Images
from genfast.training import Callback, State

RESULTS = Path(__file__).parent / "results" / "bits_per_dim.json"
VARIANTS, SIDES = ("gated", "masked"), ("genfast", "plain")
#: Nats an image, of log-probabilities in float64; and nats a pixel, of the losses of a few steps.
SAME_NETWORK, SAME_STEPS = 1e-5, 1e-4
COMPARED_STEPS = 10


@dataclass(frozen=True)
class Setting:
    """What is trained.

    Args:
        width: Features of a layer.
        depth: Layers or blocks.
        recipe: How.
        seeds: Runs of each side.
    """

    width: int
    depth: int
    recipe: Recipe
    seeds: tuple[int, ...]


SETTING = Setting(48, 5, Recipe(2000), (0, 1))
QUICK = Setting(6, 2, Recipe(12), (0, 1))


def ours(variant: str, images: Images, setting: Setting, seed: int) -> PixelCNN:
    """A new model."""
    torch.manual_seed(seed)
    return PixelCNN(
        images.shape,
        images.levels,
        width=setting.width,
        depth=setting.depth,
        variant=variant,  # type: ignore[arg-type]
        classes=images.classes,
    )


def by_hand(variant: str, images: Images, setting: Setting, seed: int) -> PlainPixelCNN:
    """The same network in plain PyTorch, new."""
    torch.manual_seed(seed)
    classes = images.classes or 0
    return PlainPixelCNN(variant, images.levels, setting.width, setting.depth, classes)


def copied(model: PixelCNN, plain: PlainPixelCNN) -> PlainPixelCNN:
    """`plain` with the weights of `model`: every one of them, and no other."""
    weights = {name.removeprefix("network."): w for name, w in model.state_dict().items()}
    plain.load_state_dict(weights, strict=True)
    return plain


def check_network(variant: str, images: Images, setting: Setting) -> float:
    """Largest difference of log p(x) on the same weights, in float64; AssertionError if large."""
    model = ours(variant, images, setting, 0).double().eval()
    plain = copied(model, by_hand(variant, images, setting, 1).double())
    assert images.labels is not None
    with torch.no_grad():
        expected = model.log_prob(images.x, classes=images.labels)
        found = -plain.nats(images.x, images.labels).flatten(1).sum(1)
    apart = float((found - expected).abs().max())
    assert apart <= SAME_NETWORK, f"{variant}: log-probabilities are {apart:.1e} nats apart"
    return apart


def check_steps(variant: str, images: Images, setting: Setting) -> float:
    """Largest difference of the losses of some steps on the same weights and batches."""
    recipe = Recipe(COMPARED_STEPS, setting.recipe.batch_size)
    model, labels = ours(variant, images, setting, 0), images.labels
    assert labels is not None
    plain = copied(model, by_hand(variant, images, setting, 1))
    batches = list(islice(shuffled(images.x, labels, recipe.batch_size, 0), recipe.steps))
    history = _fit(model, lambda step: batches[step], recipe, 0, [])
    losses = train(plain, batches, recipe, lambda step, loss: None)
    apart = max(abs(a - b) for a, b in zip(history, losses, strict=True))
    assert apart <= SAME_STEPS, f"{variant}: losses are {apart:.1e} nats a pixel apart"
    return apart


def _fit(
    model: PixelCNN, given: Any, recipe: Recipe, seed: int, watching: list[Any]
) -> list[float]:
    """Trains by genfast; returns the losses."""
    history = genfast.fit(
        model,
        given,
        held_out=None if callable(given) else 0.0,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        lr=recipe.lr,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
        clip=recipe.clip,
        warmup=recipe.warmup,
        seed=seed,
        callbacks=watching,
        progress=False,
    )
    return history.loss


class _Watching(Callback):
    """Calls `progress(step, loss)` after each step of `fit`, as the plain loop does."""

    def __init__(self, progress: Callable[[int, float], None]) -> None:
        self._progress = progress

    def on_step(self, state: State) -> None:
        self._progress(state.history.steps, state.numbers["loss"])


def trained(
    side: str, variant: str, parts: tuple[Images, Images], setting: Setting, seed: int
) -> dict[str, float]:
    """One run: held-out bits per dim, those of the last tenth of training, and seconds."""
    images, held = parts
    assert images.labels is not None
    assert held.labels is not None
    begin, recipe = time.perf_counter(), setting.recipe
    progress = _reporter(f"{variant} {side} seed {seed}", recipe.steps)
    if side == "genfast":
        model = ours(variant, images, setting, seed)
        losses = _fit(model, images.tensors, recipe, seed, [_Watching(progress)])
        found = genfast.bits_per_dim(model, held.x, classes=held.labels)
    else:
        plain = copied(
            ours(variant, images, setting, seed), by_hand(variant, images, setting, seed)
        )
        batches = shuffled(images.x, images.labels, recipe.batch_size, seed)
        losses = train(plain, batches, recipe, progress)
        found = bits(plain, held.x, held.labels)
    last = statistics.fmean(losses[-max(1, len(losses) // 10) :])
    return {
        "held_out": round(found, 5),
        "last_loss": round(last, 5),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def _reporter(name: str, steps: int) -> Callable[[int, float], None]:
    """Prints a line ten times a run."""

    def progress(step: int, loss: float) -> None:
        if step % max(1, steps // 10) == 0:
            print(f"  {name}: step {step:,} of {steps:,}, {loss:.3f} nats a pixel", flush=True)

    return progress


def summary(runs: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Mean and spread of both sides; of the pairs, the mean difference and its standard error."""
    values = {
        side: [run["held_out"] for name, run in runs.items() if name.startswith(side)]
        for side in SIDES
    }
    sides = {
        side: {
            "mean": round(statistics.fmean(found), 4),
            "low": round(min(found), 4),
            "high": round(max(found), 4),
            "runs": len(found),
        }
        for side, found in values.items()
    }
    pairs = [a - b for a, b in zip(*values.values(), strict=True)]
    error = statistics.stdev(pairs) / len(pairs) ** 0.5
    difference = statistics.fmean(pairs)
    return sides | {"difference": round(difference, 4), "standard_error": round(error, 4)}


def measure(variant: str, setting: Setting, results: dict[str, Any], out: Path) -> None:
    """All runs of a variant that the file lacks, each saved at once."""
    images = data.digits()
    parts = images.split(seed=0)
    sizes = {"width": setting.width, "depth": setting.depth, "batch": setting.recipe.batch_size}
    row = results["rows"].setdefault(variant, {"task": {"variant": variant, **sizes}, "runs": {}})
    row["checks"] = {
        "log_prob_apart": check_network(variant, parts[1], setting),
        "losses_apart": check_steps(variant, parts[0], setting),
    }
    for seed in setting.seeds:
        for side in SIDES:
            name = f"{side} {seed}"
            if name not in row["runs"]:
                row["runs"][name] = trained(side, variant, parts, setting, seed)
                save(out, results)
            run = row["runs"][name]
            print(
                f"{variant} {name}: {run['held_out']:.4f} bits, {run['seconds']:.0f} s", flush=True
            )
    row["summary"] = summary(row["runs"])
    save(out, results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few steps of a small network")
    parser.add_argument("--resume", action="store_true", help="keep the runs already in the file")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    setting = QUICK if options.quick else SETTING
    results: dict[str, Any] = {
        "bench": "bits_per_dim",
        "machine": machine.facts() | {"threads": torch.get_num_threads()},
        "setting": asdict(setting),
        "rows": {},
    }
    if options.resume and options.out.exists():
        kept = json.loads(options.out.read_text(encoding="utf-8"))
        if kept["setting"] != json.loads(json.dumps(results["setting"])):
            parser.error(f"{options.out} holds runs of another setting; leave --resume out")
        results["rows"] = kept["rows"]
    for variant in VARIANTS:
        measure(variant, setting, results, options.out)
        s = results["rows"][variant]["summary"]
        print(
            f"{variant}: genfast {s['genfast']['mean']:.4f}, plain {s['plain']['mean']:.4f}, "
            f"difference {s['difference']:+.4f} +- {s['standard_error']:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
