"""Bad arguments of an image draw get one clear error, whoever draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from genfast import bits_per_dim
from genfast.engines import CudaEngine
from genfast.models.pixelcnn import PixelCNN
from genfast.pixels import check_images
from genfast.session import Session

BACKENDS = ["cpu", "reference"]
LONG = torch.int64

pytestmark = pytest.mark.usefixtures("one_thread")


def model_of(**options: Any) -> PixelCNN:
    torch.manual_seed(2)
    return PixelCNN((2, 3, 4), 5, **({"width": 6, "depth": 1} | options))


def image(**levels: int) -> torch.Tensor:
    """Four images of 0, but for `value` at row 1, channel 1, y 2, x 3."""
    x = torch.zeros(4, 2, 3, 4, dtype=LONG)
    x[1, 1, 2, 3] = levels.get("value", 0)
    return x


ALL = torch.ones(4, 1, 3, 4, dtype=torch.bool)
NONE = ~ALL
IMAGES = r"int64 \(N, C, H, W\) with N=4, C=2, H=3, W=4"
MASKS = r"bool \(N, 1, H, W\) or \(N, C, H, W\) with N=4, C=2, H=3, W=4"

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"n": -1}, "n must be at least 0, got -1"),
    ({"n": 2.5}, "n must be an integer, got 2.5"),
    ({"seed": -1}, "seed must be at least 0 and below 9223372036854775808, got -1"),
    ({"seed": 1.5}, "seed must be an integer, got 1.5"),
    ({"seed": torch.zeros(3, dtype=LONG)}, r"seed must be int64 \(N,\) with N=4, got int64 \(3,\)"),
    ({"index": 2**32 - 3}, "index must be at least 0 and below 4294967293, got 4294967293"),
    ({"index": torch.tensor([0, 1, 2, 2**32])}, "index must be at least 0 .* in row 3"),
    ({"temperature": -0.1}, "temperature must be finite and at least 0, got -0.1 in row 0"),
    ({"temperature": torch.tensor([1.0, 1, -1, 1])}, "temperature must .* got -1.0 in row 2"),
    ({"top_k": -1}, r"top_k must be at least 0 \(0 for off\), got -1"),
    ({"top_p": 1.01}, r"top_p must be in \(0, 1\], got 1.01"),
    ({"classes": torch.zeros(4, dtype=LONG)}, r"classes must be None for a model .* int64 \(4,\)"),
    ({"vector": torch.zeros(4, 2)}, r"vector must be None .* got float32 \(4, 2\)"),
    ({"features": torch.zeros(4, 2, 3, 4)}, r"features must be None .* float32 \(4, 2, 3, 4\)"),
    ({"given": image()}, "given must be a pair of image and mask, got Tensor"),
    ({"given": (image(),)}, "given must be a pair of image and mask, got tuple"),
    ({"given": (image(), None)}, f"given: mask must be {MASKS}, got NoneType None"),
    ({"given": (image(), ALL.long())}, rf"given: mask must be {MASKS}, got int64 \(4, 1, 3, 4\)"),
    ({"given": (image(), ALL[:3])}, rf"given: mask must be {MASKS}, got bool \(3, 1, 3, 4\)"),
    ({"given": (image(), ALL[:, 0])}, rf"given: mask must be {MASKS}, got bool \(4, 3, 4\)"),
    ({"given": (image(), ALL.mT)}, rf"given: mask must be {MASKS}, got bool \(4, 1, 4, 3\)"),
    ({"given": (image(), ALL.to("meta"))}, "given: mask must be on cpu, .* got meta"),
    ({"given": (image().float(), ALL)}, rf"given: image must be {IMAGES}, got float32 \(4, 2"),
    ({"given": (image()[:3], ALL)}, rf"given: image must be {IMAGES}, got int64 \(3, 2, 3, 4\)"),
    ({"given": (image()[:, :1], ALL)}, rf"given: image must be {IMAGES}, got int64 \(4, 1, 3, 4\)"),
    ({"given": (image()[0], ALL)}, rf"given: image must be {IMAGES}, got int64 \(2, 3, 4\)"),
    ({"given": ([[0]], ALL)}, f"given: image must be {IMAGES}, got list"),
    ({"given": (image().to("meta"), ALL)}, "given: image must be on cpu, .* got meta"),
    (
        {"given": (image(value=5), ALL)},
        "given: image must be at least 0 and below 5, got 5 in row 1, channel 1, y 2, x 3",
    ),
    ({"given": (image(value=-1), ALL)}, "given: image must .* got -1 in row 1, channel 1, y 2"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("argument", "message"), WRONG)
def test_wrong_argument_is_named(argument: dict[str, Any], message: str, backend: str) -> None:
    with pytest.raises(ValueError, match=f"^sample: {message}"):
        model_of().sample(**({"n": 4} | argument), backend=backend)


def test_levels_outside_the_mask_may_be_anything() -> None:
    model = model_of()
    drawn = model.sample(4, seed=0, given=(image(value=99), NONE))
    assert torch.equal(drawn, model.sample(4, seed=0))


LABELS = torch.zeros(4, dtype=LONG)
CONDITIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"classes": 3}, {}, r"classes must be int64 \(N,\) with N=4, got None"),
    (
        {"classes": 3},
        {"classes": torch.tensor([0, 1, 3, 2])},
        "classes must be at least 0 and below 3, got 3 in row 2",
    ),
    ({"classes": 3}, {"classes": torch.tensor([0, 1, 2, -1])}, "classes .* got -1 in row 3"),
    ({"classes": 3}, {"classes": LABELS.int()}, r"classes must be int64 .* got int32 \(4,\)"),
    ({"classes": 3}, {"classes": LABELS[:1]}, r"classes must be int64 .* got int64 \(1,\)"),
    ({"classes": 3}, {"classes": 2}, r"classes must be int64 \(N,\) with N=4, got 2"),
    ({"classes": 3}, {"classes": LABELS.to("meta")}, "classes must be on cpu, .* got meta"),
    ({"vector": 2}, {}, r"vector must be float32 \(N, V\) with N=4, V=2, got None"),
    (
        {"vector": 2},
        {"vector": torch.zeros(4, 3)},
        r"vector must be float32 \(N, V\) with N=4, V=2, got float32 \(4, 3\)",
    ),
    ({"vector": 2}, {"vector": torch.zeros(4, 2).double()}, "vector must be .* got float64"),
    (
        {"vector": 2},
        {"vector": torch.tensor([[0.0, 1], [1, 2], [3, torch.nan], [0, 0]])},
        r"vector must be finite, got nan at \(2, 1\)",
    ),
    (
        {"features": 2},
        {"features": torch.zeros(4, 2, 4, 3)},
        r"features must be float32 \(N, F, H, W\) with N=4, F=2, H=3, W=4, got float32 \(4, 2, 4",
    ),
    (
        {"features": 2},
        {"features": torch.full((4, 2, 3, 4), torch.inf)},
        r"features must be finite, got inf at \(0, 0, 0, 0\)",
    ),
    ({"classes": 3}, {"classes": LABELS, "vector": torch.zeros(4, 2)}, "vector must be None"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("sizes", "given", "message"), CONDITIONS)
def test_wrong_condition_is_named(
    sizes: dict[str, Any], given: dict[str, Any], message: str, backend: str
) -> None:
    with pytest.raises(ValueError, match=f"^sample: {message}"):
        model_of(**sizes).sample(4, **given, backend=backend)


@pytest.mark.parametrize("backend", ["gpu", "CPU", ""])
def test_unknown_backend(backend: str) -> None:
    with pytest.raises(ValueError, match="backend must be one of auto, cpu, cuda, reference"):
        model_of().sample(1, backend=backend)


@pytest.mark.skipif(CudaEngine.refusal(0) is None, reason="a GPU serves")
@pytest.mark.parametrize("n", [0, 1])
def test_cuda_is_refused_and_never_replaced(n: int) -> None:
    with pytest.raises(ValueError, match="backend 'cuda' cannot serve: "):
        model_of().sample(n, backend="cuda")


@pytest.mark.parametrize("variant", ["masked", "gated"])
@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_nan_weights_are_named(backend: str, variant: str) -> None:
    model = model_of(variant=variant)
    model.sample(2, backend=backend)
    model.network.readout.weight.data.view(-1)[1] = torch.nan
    with pytest.raises(FloatingPointError, match=r"weight network\.readout\.weight is nan at "):
        model.sample(2, backend=backend)
    model.network.readout.weight.data.view(-1)[1] = 0.5
    assert model.sample(2, backend=backend).shape == (2, 2, 3, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_scores_that_overflow_name_row_and_site(backend: str) -> None:
    model = model_of(input="embedding", embedding_width=2, variant="masked")
    # Level 4 of any pixel makes the scores of those behind it overflow; the others add nothing.
    for parameter in model.parameters():
        parameter.data.zero_()
    model.embed.weight.data[4] = 1
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and "network" in name:
            parameter.data.fill_(3e38 if "readout" in name else 1.0)
    x = torch.zeros(3, 2, 3, 4, dtype=LONG)
    x[2, 1, 1, 1] = 4
    mask = torch.zeros(3, 1, 3, 4, dtype=torch.bool)
    mask[:, :, :2] = True
    mask[:, :, 1, 2:] = False
    with pytest.raises(FloatingPointError, match=r"scores of row 2 at site 6 are \+inf"):
        model.sample(3, given=(x, mask), backend=backend)


def test_rows_of_a_later_cut_are_told_from_those_of_the_first(monkeypatch: Any) -> None:
    monkeypatch.setattr("genfast.rasters._BYTES", 0)
    model = model_of()
    temperature = torch.ones(70)
    # So cold that a score over the temperature is beyond float32.
    temperature[66] = 1e-44
    with pytest.raises(FloatingPointError, match=r"row 2 at site 0 .*, rows counted from 64"):
        model.sample(70, temperature=temperature, backend="cpu")


def test_a_session_is_of_sequences() -> None:
    for backend in ("cpu", "reference"):
        with pytest.raises(ValueError, match="Session: model must draw sequences, got PixelCNN"):
            Session(model_of(), 2, backend=backend)


def test_images_of_another_model_are_refused() -> None:
    model = model_of()
    check_images("x", image(value=4), model)
    check_images("x", image()[:0], model)
    with pytest.raises(ValueError, match=r"^x must be int64 \(N, C, H, W\) with C=2, H=3, W=4, go"):
        check_images("x", image()[:, :, :2], model)
    with pytest.raises(ValueError, match=r"^x must be at least 0 and below 5, got 7 in row 1"):
        check_images("x", image(value=7), model)


def test_bits_per_dim_names_what_is_wrong() -> None:
    model = model_of(classes=3)
    x = image()
    for bad in (x[:0], torch.tensor(3), [[0]]):
        with pytest.raises(ValueError, match=r"^bits_per_dim: x must be a tensor of examples"):
            bits_per_dim(model, bad, classes=LABELS)
    with pytest.raises(ValueError, match=r"^bits_per_dim: classes must be a tensor of N=4 rows"):
        bits_per_dim(model, x, classes=LABELS[:2])
    with pytest.raises(ValueError, match=r"^bits_per_dim: batch_size must be at least 1, got 0"):
        bits_per_dim(model, x, classes=LABELS, batch_size=0)
    with pytest.raises(ValueError, match="classes must be int64"):
        bits_per_dim(model, x)
