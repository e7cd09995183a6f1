"""Which engine draws: what "auto" takes, what a named backend refuses, and what is said of it."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from simulated_gpu import SimulatedEngine, image_model, sequence_model

from genfast import compiled as compiled_module
from genfast import explain, info
from genfast._extension import core
from genfast.compiled import FallbackWarning, choose_backend, compiled
from genfast.engines import CudaEngine, RefusedError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models count as being on a GPU; nothing was told yet."""
    monkeypatch.setattr(compiled_module, "on_gpu", lambda model: True)
    monkeypatch.setattr(compiled_module, "_TOLD", set())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A build with CUDA on a machine with one new GPU, by what torch and the core say of it."""
    facts = SimpleNamespace(cuda=True, available=True, count=1, capability=(9, 0), name="Some GPU")
    build = core.build_info()
    monkeypatch.setattr(core, "build_info", lambda: build | {"cuda": facts.cuda})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: facts.available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: facts.count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: facts.capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: facts.name)
    return facts


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"cuda": False}, "genfast was built without CUDA; install it again with nvcc on the path"),
    ({"available": False}, "torch sees no GPU: "),
    ({"count": 0}, "there is no GPU 0, torch sees 0"),
    ({"capability": (7, 5)}, "a GPU must be sm_80 or newer, Some GPU is sm_75"),
]


@pytest.mark.parametrize(("facts", "reason"), REFUSALS)
def test_a_machine_that_cannot_serve_is_named(
    machine: SimpleNamespace, facts: dict[str, Any], reason: str
) -> None:
    assert CudaEngine.refusal(0) is None
    vars(machine).update(facts)
    with pytest.raises(ValueError, match=f"^draw: backend 'cuda' cannot serve: {reason}"):
        sequence_model().sample(1, 1, backend="cuda")
    with pytest.raises(ValueError, match=f"^draw: backend 'cuda' cannot serve: {reason}"):
        image_model().sample(0, backend="cuda")
    with pytest.raises(ValueError, match=reason):
        explain(sequence_model(), backend="cuda")
    assert any(line.startswith(f"drawing on a GPU: no; {reason}") for line in info.lines())


@pytest.mark.usefixtures("on_gpu")
@pytest.mark.parametrize(("facts", "reason"), REFUSALS)
def test_auto_draws_on_the_cpu_and_says_so_once(
    machine: SimpleNamespace, facts: dict[str, Any], reason: str
) -> None:
    vars(machine).update(facts)
    model = sequence_model()
    told = explain(model)
    assert told.backend == "cpu"
    assert f"not on the GPU: {reason}" in told.reason
    with pytest.warns(FallbackWarning, match=f"drawn on the CPU: {reason}.*backend='cpu'") as seen:
        drawn = model.sample(2, 5, seed=0)
    assert len(seen) == 1
    # Another warning would be an error.
    model.sample(2, 5)
    image_model().sample(1)
    assert issubclass(FallbackWarning, UserWarning)
    assert torch.equal(drawn.values, model.sample(2, 5, seed=0, backend="cpu").values)


@pytest.mark.usefixtures("on_gpu")
def test_each_reason_is_told(machine: SimpleNamespace) -> None:
    for number, (facts, reason) in enumerate(REFUSALS[:1] + REFUSALS[3:]):
        vars(machine).update({"cuda": True} | facts)
        with pytest.warns(FallbackWarning, match=reason):
            choose_backend(sequence_model(), "auto")
        assert len(compiled_module._TOLD) == number + 1


@pytest.mark.usefixtures("on_gpu")
def test_what_the_reference_draws_needs_no_warning(machine: SimpleNamespace) -> None:
    """It runs on the model's own device."""
    machine.cuda = False
    model = sequence_model()
    model.readout.register_forward_hook(lambda module, inputs, output: output)
    assert choose_backend(model, "auto") == (None, "readout has a forward hook")
    assert choose_backend(model, "reference")[0] is None


@pytest.mark.usefixtures("on_gpu", "simulated")
def test_auto_draws_on_the_gpu_that_the_model_is_on() -> None:
    model = sequence_model()
    served, reason = choose_backend(model, "auto")
    assert served is not None
    assert served.engine == SimulatedEngine(0, "float32")
    assert reason == "the program says all that the model does"
    assert choose_backend(model, "cpu")[0] is compiled(model)


def test_auto_draws_on_the_cpu_from_a_model_there(machine: SimpleNamespace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        served, _ = choose_backend(sequence_model(), "auto")
    assert served is not None
    assert served.engine.backend == "cpu"


@pytest.mark.usefixtures("simulated")
def test_what_is_no_program_is_refused() -> None:
    model = sequence_model()
    model.readout.register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(ValueError, match="backend 'cuda' cannot serve: readout has a forward hook"):
        model.sample(1, 1, backend="cuda")


@pytest.mark.usefixtures("simulated", "on_gpu")
def test_a_program_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedEngine, "shared_bytes", 300)
    model, reason = sequence_model(), "plan: a block of 300 bytes"
    with pytest.raises(ValueError, match=f"backend 'cuda' cannot serve: {reason}"):
        model.sample(1, 1, backend="cuda")
    with pytest.warns(FallbackWarning, match=reason):
        model.sample(1, 1)
    assert f"not on the GPU: {reason}" in explain(model).reason


def stand_in(device: str, *dtypes: torch.dtype) -> Any:
    """What an engine asks of a model that is on a GPU."""
    parameters = [
        SimpleNamespace(
            device=torch.device(device),
            dtype=dtype,
            is_floating_point=lambda d=dtype: d.is_floating_point,
        )
        for dtype in dtypes
    ]
    return SimpleNamespace(parameters=lambda: iter(parameters))


def test_engines_are_of_the_model(machine: SimpleNamespace) -> None:
    single, half = torch.float32, torch.bfloat16
    machine.count = 2
    assert CudaEngine.of(stand_in("cpu", single)) == CudaEngine(0, "float32")
    assert CudaEngine.of(stand_in("cuda:1", half, half, torch.int8)) == CudaEngine(1, "bfloat16")
    assert CudaEngine.of(stand_in("cuda:0", half, single)).precision == "float32"
    assert CudaEngine.of(stand_in("cuda:0", torch.float16)).precision == "float32"
    assert CudaEngine(1, "float32").device == torch.device("cuda", 1)
    with pytest.raises(RefusedError, match="there is no GPU 2, torch sees 2"):
        CudaEngine.of(stand_in("cuda:2", single))
    assert not compiled_module.on_gpu(stand_in("cpu", single))
    assert compiled_module.on_gpu(stand_in("cuda:1", single))
    assert not compiled_module.on_gpu(stand_in("cpu"))


@pytest.mark.usefixtures("simulated")
def test_memory_that_torch_holds_unused_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, full = sequence_model(), [True]
    expected = model.sample(2, 5, seed=0, backend="cuda")
    make = core.CudaSession

    def session(executor: Any, n: int) -> Any:
        if full[0]:
            raise RuntimeError("cudaErrorMemoryAllocation: out of memory")
        return make(executor, n)

    monkeypatch.setattr(core, "CudaSession", session)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: full.__setitem__(0, False))
    drawn = model.sample(2, 5, seed=0, backend="cuda")
    assert torch.equal(drawn.values, expected.values)
    full[0] = True
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.sample(2, 5, backend="cuda")


@pytest.mark.usefixtures("simulated")
def test_explain_shows_the_plan() -> None:
    model = sequence_model(classes=65, width=32, depth=1)
    told = explain(model, backend="cuda")
    assert (told.backend, told.precision, told.floor, told.isa) == ("cuda", "float32", 0.0, "")
    assert told.weights == "float32 copies of float32 on cpu"
    assert told.reason.endswith("; on cuda:0")
    assert told.multiply_adds == 128 * 32 + 65 * 32
    assert told.site_bytes == 4 * (told.multiply_adds + 65 + 128 + 128)
    for said in (
        "barriers a tick",
        "bytes of weights",
        "floor        not measured",
        "-- barrier --",
    ):
        assert said in str(told)
    half = explain(model.bfloat16(), backend="cuda")
    assert half.precision == "bfloat16"
    assert half.weights == "bfloat16 copies of bfloat16 on cpu"
    assert half.site_bytes == 2 * told.multiply_adds + 4 * (65 + 128 + 128)
    images = str(explain(image_model(), backend="cuda"))
    assert "rows in flight" in images
    assert "phases       " in images
    # Without a name it says what "auto" does.
    assert explain(model).backend == "cpu"


def test_info_names_the_gpus_that_draw(machine: SimpleNamespace) -> None:
    machine.count = 2
    assert "drawing on a GPU: cuda:0, cuda:1" in info.lines()
    machine.capability = (7, 0)
    assert "drawing on a GPU: no; a GPU must be sm_80 or newer, Some GPU is sm_70" in info.lines()
