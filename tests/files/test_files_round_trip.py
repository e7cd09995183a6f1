"""What is loaded is what was saved: weights, dtypes, arguments, figures, and what it draws."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from saved_models import SYMBOLS, model_of, same, split_weights
from torch import nn

from genfast import files
from genfast.data import Bytes
from genfast.files.loading import read_saved
from genfast.models import SequenceModel, load

OPTIONS: list[dict[str, Any]] = [
    {"cell": cell, "start": start, "depth": depth, "width": width}
    for cell in ("lstm", "gru")
    for start, depth, width in (("learnt", 1, 1), ("zeros", 2, 5), (3, 3, 17))
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_loaded_model_draws_the_same_bits(tmp_path: Path, options: dict[str, Any]) -> None:
    model = model_of(embedding_width=4, **options)
    model.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    assert same(model, loaded)
    assert loaded.config() == model.config()
    for backend in ("cpu", "reference"):
        drawn = [m.sample(5, 40, seed=3, backend=backend).values for m in (model, loaded)]
        assert torch.equal(*drawn)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_stay(tmp_path: Path, dtype: torch.dtype) -> None:
    model = model_of(17).to(dtype)
    model.save(tmp_path)
    loaded = load(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    assert same(model, loaded)
    drawn = [m.sample(3, 30, seed=1, backend="cpu").values for m in (model, loaded)]
    assert torch.equal(*drawn)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrent_layers_compute_with_the_loaded_weights(tmp_path: Path, cell: str) -> None:
    """torch keeps a second list of a network's weights, which its kernels read."""
    model = model_of(cell=cell, depth=2)
    model.save(tmp_path)
    loaded = load(tmp_path)
    x = torch.randn(2, 3, 5)
    torch.testing.assert_close(loaded.rnn(x)[0], model.rnn(x)[0], rtol=0, atol=0)
    assert all(
        flat is getattr(loaded.rnn, name)
        for flat, name in zip(loaded.rnn._flat_weights, loaded.rnn._flat_weights_names, strict=True)
    )


@pytest.mark.parametrize("symbols", [None, SYMBOLS, Bytes()])
def test_symbols_stay(tmp_path: Path, symbols: Any) -> None:
    model = model_of(classes=7 if symbols is None else len(symbols), symbols=symbols)
    model.save(tmp_path)
    assert load(tmp_path).symbols == symbols


def test_loaded_model_evaluates_and_can_be_trained(tmp_path: Path) -> None:
    model_of(dropout=0.5).train().save(tmp_path)
    loaded = load(tmp_path)
    assert not loaded.training
    assert loaded.dropout == 0.5
    loaded.train().training_step(torch.randint(7, (2, 9)), 0)["loss"].backward()
    assert all(p.grad is not None for p in loaded.parameters())


def test_figures_stay_until_others_are_given(tmp_path: Path) -> None:
    model = model_of()
    assert model.figures == {}
    model.save(tmp_path, figures={"bits": 1.25, "steps": 30})
    loaded = load(tmp_path)
    assert loaded.figures == {"bits": 1.25, "steps": 30}
    loaded.save(tmp_path / "again")
    assert load(tmp_path / "again").figures == loaded.figures
    loaded.save(tmp_path / "again", figures={})
    assert load(tmp_path / "again").figures == {}


def test_loading_and_saving_leave_the_generator_alone(tmp_path: Path) -> None:
    model = model_of()
    before = torch.get_rng_state()
    model.save(tmp_path)
    load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_second_save_replaces_the_first(tmp_path: Path) -> None:
    model_of(5).save(tmp_path)
    model_of(17).save(tmp_path)
    assert same(load(tmp_path), model_of(17))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_a_loaded_model_outlives_its_file(tmp_path: Path) -> None:
    model_of().save(tmp_path)
    loaded = load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert same(loaded, model_of())


def test_safetensors_reads_what_is_written_and_is_read(tmp_path: Path) -> None:
    model = model_of(17)
    model.save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    assert all(torch.equal(tensors[name], t) for name, t in model.state_dict().items())
    metadata = split_weights(path.read_bytes())[0]["__metadata__"]
    save_file(tensors, path, metadata)
    assert same(load(tmp_path), model)


def test_data_of_every_tensor_lies_at_a_multiple_of_its_width(tmp_path: Path) -> None:
    model = model_of(3, classes=3)
    model.rnn.to(torch.float64)
    model.embed.to(torch.float16)
    model.save(tmp_path)
    raw = (tmp_path / "model.safetensors").read_bytes()
    header, data = split_weights(raw)
    assert (len(raw) - len(data)) % 8 == 0
    sizes = {"F64": 8, "F32": 4, "F16": 2}
    entries = [entry for name, entry in header.items() if name != "__metadata__"]
    assert {entry["dtype"] for entry in entries} == set(sizes)
    assert all(entry["data_offsets"][0] % sizes[entry["dtype"]] == 0 for entry in entries)
    assert same(load(tmp_path), model)


def test_config_is_a_copy_with_more_keys(tmp_path: Path) -> None:
    model = model_of(symbols=SYMBOLS)
    files.save(
        model,
        tmp_path,
        figures={"bits": 2.0},
        extra={"sampler": {"opset": 18}},
        others={"1/model.onnx": b"graph", "note.txt": b""},
    )
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {
        "format": 1,
        "class": "SequenceModel",
        "arguments": model.config(),
        "figures": {"bits": 2.0},
        "sampler": {"opset": 18},
    }
    assert (tmp_path / "1" / "model.onnx").read_bytes() == b"graph"
    saved = read_saved(tmp_path)
    assert (saved.name, saved.arguments) == ("SequenceModel", model.config())
    (tmp_path / "config.json").unlink()
    assert same(load(tmp_path), model)


def test_a_link_to_a_folder_and_links_inside_it_are_followed(tmp_path: Path) -> None:
    model_of().save(tmp_path / "run")
    (tmp_path / "link").symlink_to("run")
    weights = tmp_path / "run" / "model.safetensors"
    weights.rename(tmp_path / "run" / "v2.safetensors")
    weights.symlink_to("v2.safetensors")
    assert same(load(tmp_path / "link"), model_of())
    assert same(load(str(tmp_path / "link")), model_of())


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_building_blank_imports_no_compiler(tmp_path: Path, cell: type) -> None:
    """Drawing weights on the meta device would import 800 modules, seconds."""
    kind = cell.__name__.lower()
    model_of(cell=kind).save(tmp_path)
    code = (
        "import sys; from genfast.models import load; before = set(sys.modules);"
        f"load({str(tmp_path)!r}); new = set(sys.modules) - before;"
        "assert not any(name.startswith(('torch._dynamo', 'torch._inductor')) for name in new);"
        "assert 'safetensors' not in new and 'huggingface_hub' not in new"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_load_is_sequence_model_alone(tmp_path: Path) -> None:
    model_of().save(tmp_path)
    assert type(load(tmp_path)) is SequenceModel


def test_the_deepest_model_there_may_be(tmp_path: Path) -> None:
    model = model_of(1, classes=2, depth=1024)
    model.save(tmp_path)
    assert same(load(tmp_path), model)
