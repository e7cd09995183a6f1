"""Graphs opened in ONNX Runtime, and models and batches to draw from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from one_pass_models import OnePass, OnePassImages, trained

import genfast
from genfast.exporting import one_pass_graphs
from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.program import Add, Buffer, Draw, Look, Mat, Program, Sum, symbol

Run = Callable[..., list[Any]]
CLASSES, WIDTH = 11, 6
RNG = np.random.default_rng(3)
KINDS = [
    "none", "relu", "tanh", "sigmoid", "gate", "lstm", "gru", "gru, read twice",
    "gru, without biases", "residual", "window", "looked up twice", "of constants",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """For every test of this folder."""


@pytest.fixture
def opened() -> Callable[[Any], Run]:
    """Opens an `onnx.ModelProto`: a function of its inputs by name, giving all outputs."""

    def open_model(model: Any) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return lambda **inputs: session.run(None, inputs)

    return open_model


@pytest.fixture
def model_of() -> Callable[..., SequenceModel]:
    """Makes a small model whose scores are as wide as those of a trained one."""

    def make(
        cell: str = "lstm", depth: int = 1, width: int = 17, classes: int = 23, **options: Any
    ) -> SequenceModel:
        torch.manual_seed(depth)
        model = SequenceModel(
            Categorical(classes), cell=cell, width=width, depth=depth, embedding_width=9, **options
        )
        for parameter in model.parameters():
            parameter.data *= 3
        return model.eval()

    return make


@pytest.fixture
def columns() -> Callable[..., dict[str, Any]]:
    """Feeds of a sampler's graph: vectors as columns, one seed and no prompt unless given."""

    def feeds(n: int, length: Any, **given: Any) -> dict[str, Any]:
        named: dict[str, Any] = {
            "seed": np.full(n, 5),
            "index": np.arange(n),
            "temperature": np.ones(n, np.float32),
            "prompt_length": np.zeros(n, np.int64),
            "prompt": np.zeros((n, 0), np.int64),
            "length": np.broadcast_to(length, n),
        }
        named |= {name: np.asarray(value) for name, value in given.items()}
        return {k: v[:, None] if v.ndim == 1 else v for k, v in named.items() if v.dtype != object}

    return feeds


def weight(*shape: int) -> Any:
    return (RNG.normal(size=shape) * 0.8).astype(np.float32)


def make_program(kind: str) -> Program:
    """A sequence whose scores depend on one instruction of this kind, and on its past."""
    x, e, y = symbol("x", CLASSES), Buffer("e", WIDTH), Buffer("y", WIDTH)
    code: list[Any] = [Sum((e,), (Look(weight(CLASSES + 1, WIDTH), x[0, -1]),), weight(WIDTH))]
    back, params = Mat(weight(WIDTH, WIDTH), y[0, -1]), Buffer("params", CLASSES)
    out: tuple[Any, ...] = (Mat(weight(CLASSES, WIDTH), y.here),)
    if kind in ("none", "relu", "tanh", "sigmoid"):
        code.append(Sum((y,), (Mat(weight(WIDTH, WIDTH) / 2, e.here), back), weight(WIDTH), kind))
    elif kind == "gate":
        terms = (Mat(weight(2 * WIDTH, WIDTH), e.here), Mat(weight(2 * WIDTH, WIDTH), y[0, -1]))
        code.append(Sum((y,), terms, None, "gate"))
    elif kind == "lstm":
        c = Buffer("c", WIDTH)
        terms = (Mat(weight(4 * WIDTH, WIDTH), e.here), Mat(weight(4 * WIDTH, WIDTH), y[0, -1]))
        code.append(Sum((y, c), terms, weight(4 * WIDTH), "lstm", (c[0, -1],)))
    elif kind in ("gru", "gru, read twice", "gru, without biases"):
        rec = Buffer("rec", 3 * WIDTH)
        bare = kind == "gru, without biases"
        biases = [None if bare else weight(3 * WIDTH) for _ in range(2)]
        code.append(Sum((rec,), (Mat(weight(3 * WIDTH, WIDTH), y[0, -1]),), biases[0]))
        terms = (Mat(weight(3 * WIDTH, WIDTH), e.here),)
        code.append(Sum((y,), terms, biases[1], "gru", (rec.here, y[0, -1])))
        if kind == "gru, read twice":
            out += (Mat(weight(CLASSES, 3 * WIDTH), rec.here),)
    elif kind == "residual":
        code.append(Sum((y,), (Add(e.here), back, Add(e.here)), weight(WIDTH), "tanh"))
        out += (Look(weight(CLASSES + 1, CLASSES), x[0, -1]),)
    elif kind == "window":
        far = Mat(weight(WIDTH, WIDTH), y[0, -3])
        code.append(Sum((y,), (Mat(weight(WIDTH, WIDTH), e.here), back, far), None, "tanh"))
        out += (Mat(weight(CLASSES, WIDTH), e[0, -2]),)
    elif kind == "looked up twice":
        tables = (Look(weight(CLASSES + 1, WIDTH), x[0, -1]) for _ in range(2))
        code.append(Sum((y,), (*tables, back), weight(WIDTH), "sigmoid"))
    elif kind == "of constants":
        still = Buffer("still", WIDTH)
        code.append(Sum((still,), (), weight(WIDTH), "tanh"))
        code.append(Sum((y,), (Add(still.here), Add(e.here), back), None, "relu"))
    code += [Sum((params,), out, weight(CLASSES)), Draw((x,), params.here)]
    return Program("sequence", code)


@pytest.fixture
def program() -> Callable[[str], Program]:
    """Makes a program written by hand, by its kind."""
    return make_program


@pytest.fixture(params=KINDS)
def written(request: pytest.FixtureRequest) -> Program:
    """Every program written by hand, of 11 classes."""
    return make_program(request.param)


@pytest.fixture(scope="session")
def one_pass(tmp_path_factory: pytest.TempPathFactory) -> OnePass:
    """Images of one pass, exported while training."""
    path, model = tmp_path_factory.mktemp("one_pass") / "a", trained(OnePassImages()).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept, whole = [], one_pass_graphs._traced
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_pass_graphs, "_traced", lambda *a: kept.append(whole(*a)) or kept[0])
        report = genfast.export(model, path)
    was_training = all(module.training for module in model.modules())
    return OnePass(model.eval(), path, report, kept[0], before, was_training)
