"""The figures of the one-pass benchmark are what they are called; its rivals do their best."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
import torch

from bench import bench_one_pass, one_pass_experiments
from bench.bench_one_pass import summary
from bench.one_pass_experiments import (
    EXPERIMENTS,
    Experiment,
    distances,
    likelihood,
    parts,
    recognition,
    restoration,
)
from bench.one_pass_models import Recipe
from bench.one_pass_rivals import gaussian_images, mean_error, pca_error, shares
from bench.render_one_pass import table
from genfast import metrics
from genfast.demo.rivals import Judge

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits():
    return parts(0, labelled=True)


@pytest.fixture(scope="module")
def judge(digits):
    return Judge(digits[0])


@pytest.fixture(scope="module")
def classifier(digits):
    return metrics.train_classifier(digits[0], width=8, epochs=4, progress=False)


@pytest.fixture
def small(monkeypatch, classifier):
    """A classifier and a bound that take no time."""
    monkeypatch.setattr(metrics, "train_classifier", lambda images, progress: classifier)
    monkeypatch.setattr(one_pass_experiments, "IMPORTANCE", 2)


class Perfect:
    """Restores what it sees, spends a bit a pixel, and draws training images by their class."""

    latent = 10

    def __init__(self, train):
        self.train = train

    def reconstruct(self, x):
        return x / 16

    def bits_per_dim(self, x, classes, importance):
        assert importance > 100
        assert len(classes) == len(x)
        return 1.0

    def sample(self, n, seed, classes):
        first = [int((self.train.labels == label).nonzero()[0]) for label in range(10)]
        return self.train.x[torch.tensor(first)[classes]] / 16

    def to_levels(self, x):
        return (x * 16).round().long()


def test_figures_of_a_perfect_model(digits, judge):
    train, held = digits
    model = Perfect(train)
    assert likelihood(model, train, held)["bits"] == pytest.approx(1, rel=1e-6)
    assert 2 < likelihood(model, train, held)["independent_bits"] < 2.5
    assert restoration(model, train, held)["error"] < 1e-12
    found = recognition(model, judge, held, 0)
    assert found["recognised"] == 1
    assert 0.95 < found["recognised_held_out"] <= 1


def test_more_components_restore_more(digits):
    train, held = digits
    errors = [pca_error(train, held, k) for k in (1, 10, 40, 64)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < mean_error(train, held) < 0.1
    assert errors[-1] < 1e-20


def test_the_gaussian_has_the_moments_of_the_pixels(digits):
    train, _ = digits
    drawn = gaussian_images(train, 20_000, 0)
    assert drawn.dtype == torch.int64
    assert drawn.shape == (20_000, *train.shape)
    assert (int(drawn.min()), int(drawn.max())) == (0, 16)
    middle = (shares(train).mean(0) - 0.5).abs() < 0.2  # that few draws are cut off from
    apart = (drawn.flatten(1) / 16).mean(0) - shares(train).mean(0)
    assert apart[middle].abs().max() < 0.04
    assert drawn.equal(gaussian_images(train, 20_000, 0))


def test_real_images_are_no_further_than_real_images(digits, classifier):
    """Draws from the training images themselves: nothing is nearer."""
    train, held = digits

    def samples(n, seed):
        generator = torch.Generator().manual_seed(seed + 100)
        return train.x[torch.randperm(len(train), generator=generator)[:n]]

    found = distances(samples, train, held, classifier)
    assert found["frechet"] < 2 * found["frechet_real"]
    assert found["times_nearer"] > 20
    assert found["frechet_gaussian"] > 4 * found["frechet_real"]
    assert found["copies"] == 1
    assert found["copying_score"] < -10
    assert abs(found["kernel"]) < 4 * found["kernel_error"]

    gaussian = distances(
        lambda n, seed: gaussian_images(train, n, seed + 100), train, held, classifier
    )
    assert gaussian["times_nearer"] == pytest.approx(1, abs=0.15)
    assert gaussian["kernel"] > 4 * gaussian["kernel_error"]


def test_summary_needs_every_run():
    experiment = Experiment(None, None, None, "below 3", lambda run: run["x"] < 3)
    found = summary(experiment, {"0": {"x": 1.0}, "1": {"x": 2.0}})
    assert found["reached"]
    assert found["x"] == {"mean": 1.5, "low": 1.0, "high": 2.0}
    assert not summary(experiment, {"0": {"x": 1.0}, "1": {"x": 4.0}})["reached"]


def test_runs_are_saved_and_kept(tmp_path, monkeypatch, capsys):
    out, seeds = tmp_path / "one_pass.json", []

    def run(seed, recipe, name):
        seeds.append(seed)
        return {"x": seed + 1 / 3}

    quick = Recipe(1)
    fake = Experiment(run, quick, quick, "below 2", lambda found: found["x"] < 2)
    monkeypatch.setattr(bench_one_pass, "EXPERIMENTS", {"fake": fake})
    monkeypatch.setattr(sys, "argv", ["bench", "--seed", "0", "1", "--out", str(out)])
    bench_one_pass.main()
    row = json.loads(out.read_text())["rows"]["fake"]
    assert [run["x"] for run in row["runs"].values()] == [0.33333, 1.3333]
    assert row["summary"]["reached"]
    assert row["task"]["steps"] == 1
    monkeypatch.setattr(sys, "argv", ["bench", "--resume", "--out", str(out)])
    bench_one_pass.main()
    assert seeds == [0, 1, 2]
    assert not json.loads(out.read_text())["rows"]["fake"]["summary"]["reached"]
    assert "fake: below 2: MISSED" in capsys.readouterr().out
    other = replace(fake, recipe=Recipe(2))
    monkeypatch.setattr(bench_one_pass, "EXPERIMENTS", {"fake": other})
    bench_one_pass.main()
    assert seeds == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_quick_runs_have_their_figures(name, small, tmp_path, monkeypatch):
    out = tmp_path / "one_pass.json"
    monkeypatch.setattr(
        sys, "argv", ["bench", "--quick", "--only", name, "--seed", "0", "--out", str(out)]
    )
    bench_one_pass.main()
    row = json.loads(out.read_text())["rows"][name]
    assert row["summary"]["reached"] in (False, True)
    assert row["summary"]["runs"] == 1


def test_table_has_a_line_a_figure():
    def summary(**figures):
        return {name: {"mean": v, "low": v - 1, "high": v + 1} for name, v in figures.items()}

    rows = {
        "vae": summary(bits=2, independent_bits=3, error=4, pca_error=5),
        "toy": summary(covered=9, modes=9, high_quality=0.5),
    }
    found = table({"rows": {name: {"summary": s} for name, s in rows.items()} | {"gan": {}}})
    assert found.splitlines()[2:] == [
        "| VAE | held-out bits a pixel, at most | **2.000** (1.000 to 3.000) "
        "| 3.000, independent pixels |",
        "| VAE | squared error of what is restored | **4.0000** (3.0000 to 5.0000) "
        "| 5.0000, principal components |",
        "| GAN, eight Gaussians | modes that have samples | **8** of 8 "
        "| 50.0% of the samples near one |",
    ]
    assert table({"rows": {}}) == ""
