"""Drawing on a real GPU: replay against the reference, streams, devices, graphs, short memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from simulated_gpu import image_model, sequence_model

from genfast import explain
from genfast.compiled import compiled
from genfast.engines import CudaEngine
from genfast.random import uniforms
from genfast.session import Session
from genfast.testing import replay, replay_images

REFUSAL = CudaEngine.refusal(0)
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(REFUSAL is not None, reason=str(REFUSAL))]

SIZES = [(17, 2), (512, 1), (512, 2), (1024, 2)]
IMAGES: dict[str, dict[str, Any]] = {
    "masked": {"shape": (1, 28, 28), "levels": 2, "width": 32, "depth": 6},
    "gated": {"shape": (1, 12, 9), "levels": 17, "width": 24, "depth": 4, "variant": "gated"},
    "RGB": {"shape": (3, 8, 8), "levels": 32, "width": 24, "depth": 3},
    "mixture": {"shape": (3, 8, 8), "levels": 256, "width": 24, "depth": 3, "mixture": True},
    "classes": {"shape": (1, 7, 5), "classes": 3},
    "features": {"shape": (1, 7, 5), "features": 2, "vector": 3, "variant": "gated"},
}


def conditions_of(model: Any, n: int) -> dict[str, Any]:
    given: dict[str, Any] = {}
    device = next(model.parameters()).device
    if model.classes is not None:
        given["classes"] = torch.arange(n, device=device) % model.classes
    if model.vector is not None:
        given["vector"] = torch.randn(n, model.vector, device=device)
    if model.features is not None:
        given["features"] = torch.randn(n, model.features, *model.shape[1:], device=device)
    return given


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("width", "depth"), SIZES)
@pytest.mark.parametrize("n", [1, 5, 300])
def test_sequences_are_replayed(cell: str, width: int, depth: int, n: int) -> None:
    model = sequence_model(cell, 65, width=width, depth=depth).cuda()
    report = replay(model, n, 24, backend="auto", stop=3, whole=False)
    assert (report.backend, report.skipped) == ("cuda", 0)


@pytest.mark.parametrize("width", [17, 512])
@pytest.mark.parametrize("n", [1, 9])
def test_bfloat16_sequences_are_replayed(width: int, n: int) -> None:
    model = sequence_model(classes=65, width=width).cuda().bfloat16()
    assert explain(model).precision == "bfloat16"
    assert replay(model, n, 24, backend="cuda", whole=False).backend == "cuda"


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.5, "top_k": 5},
        {"temperature": 0.0},
        {"temperature": torch.linspace(0, 2, 9), "top_p": torch.linspace(0.2, 1, 9)},
    ],
)
def test_options_are_replayed(options: dict[str, Any]) -> None:
    replay(sequence_model(width=64).cuda(), 9, 24, backend="cuda", whole=False, **options)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("n", [1, 5, 80])
def test_images_are_replayed(name: str, n: int) -> None:
    model = image_model(**IMAGES[name]).cuda()
    given = conditions_of(model, n)
    report = replay_images(model, n, backend="auto", whole=False, **given)
    assert (report.backend, report.skipped) == ("cuda", 0)
    drawn = model.sample(n, seed=0, **given)
    assert drawn.device.type == "cuda"
    last = {argument: value[-1:] for argument, value in given.items()}
    assert torch.equal(model.sample(1, seed=0, index=n - 1, **last)[0], drawn[-1])


def test_a_row_is_the_sample_of_its_index() -> None:
    model = sequence_model(width=512).cuda()
    batch = model.sample(300, 20, seed=4, log_prob=True)
    for i in (0, 17, 299):
        one = model.sample(1, 20, seed=4, index=i, log_prob=True)
        assert torch.equal(one.values[0], batch.values[i])
        assert torch.equal(one.log_prob[0], batch.log_prob[i])


def test_results_are_on_the_device_of_the_model() -> None:
    model = sequence_model()
    there = model.sample(4, 30, seed=0, backend="cuda", log_prob=True)
    assert {x.device.type for x in (there.values, there.lengths, there.log_prob)} == {"cpu"}
    model.cuda()
    here = model.sample(4, 30, seed=0, log_prob=True)
    assert {x.device.type for x in (here.values, here.lengths, here.log_prob)} == {"cuda"}
    assert torch.equal(here.values.cpu(), there.values)
    prompt = here.values[:, :7]
    rest = model.sample(4, 23, seed=0, prompt=prompt).values
    assert torch.equal(rest, here.values[:, 7:])
    stream = model.stream(4, seed=0, prompt=prompt)
    assert torch.equal(torch.stack(list(itertools.islice(stream, 23)), 1), rest)


def test_weights_changed_on_the_gpu_are_drawn_from() -> None:
    model = sequence_model(width=64).cuda()
    before = model.sample(4, 20, seed=0).values
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.3, fused=True)
    model.training_step(torch.randint(11, (8, 12), device="cuda"), 0)["loss"].backward()
    optimizer.step()
    replay(model, 4, 20, backend="cuda", whole=False)
    assert not torch.equal(model.sample(4, 20, seed=0).values, before)


def test_a_second_stream_draws_the_same() -> None:
    model, images = sequence_model(width=64).cuda(), image_model(features=2).cuda()
    given = conditions_of(images, 9)
    expected = model.sample(9, 600, seed=1).values, images.sample(9, seed=1, **given)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        drawn = model.sample(9, 600, seed=1).values, images.sample(9, seed=1, **given)
    stream.synchronize()
    for one, other in zip(drawn, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_a_second_gpu_draws_the_same() -> None:
    model = sequence_model(width=64).cuda()
    expected = model.sample(9, 40, seed=1).values
    drawn = model.to("cuda:1").sample(9, 40, seed=1).values
    assert drawn.device == torch.device("cuda", 1)
    assert torch.equal(drawn.cpu(), expected.cpu())
    assert torch.cuda.current_device() == 0


def test_a_launch_is_captured_in_a_graph() -> None:
    """What a graph can hold is an advance of a core session: `Session` makes uniforms on the CPU.

    A captured draw is not waited for, nor does it report scores that nothing can be drawn from.
    """
    model, n, sites = sequence_model(width=64).cuda(), 3, 20
    session = compiled(model, CudaEngine.of(model)).session(n)
    numbers = uniforms(1, n, sites).cuda()[..., None]
    values = torch.full((n, sites, 1), -1, device="cuda")
    session.bind(uniforms=numbers, values=values)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        session.advance(0, sites, torch.cuda.current_stream().cuda_stream)
    assert (values == -1).all()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(values[..., 0], model.sample(n, sites, seed=1).values)


@contextmanager
def little_memory(left: int) -> Iterator[None]:
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    hog = torch.empty(max(0, free - left), dtype=torch.uint8, device="cuda")
    try:
        yield
    finally:
        del hog
        torch.cuda.empty_cache()


def test_short_memory_leaves_the_process_usable() -> None:
    model = sequence_model(width=64).cuda()
    expected = model.sample(4, 20, seed=0).values
    with little_memory(2**28):
        # The arrays of a chunk are 1.3 GB; then what the core keeps of a million rows.
        with pytest.raises(RuntimeError, match="out of memory"):
            model.sample(2**18, 256, seed=0)
        with pytest.raises(RuntimeError, match="out of memory"):
            Session(model, 2**20, seed=0, chunk=1)
        assert torch.equal(model.sample(4, 20, seed=0).values, expected)
    assert torch.equal(model.sample(4, 20, seed=0).values, expected)


def test_scores_that_cannot_be_drawn_from_are_named() -> None:
    model = sequence_model().cuda()
    model.readout.weight.data.fill_(3e38)
    with pytest.raises(FloatingPointError, match=r"scores of row \d at site \d are"):
        model.sample(2, 9)
    model.readout.weight.data.fill_(0.5)
    assert model.sample(2, 9).values.shape == (2, 9)
