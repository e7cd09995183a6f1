"""Who may import whom, in Python and in C++, and what object files of one instruction set may hold.

Python, from the top; a module imports its own layer or a lower one, and no two modules each other::

    cli -> demo, commands -> training, exporting -> models -> heads, sampling, files, runtime
        -> ops, program, random -> _extension -> _core

`genfast.runtime` stands beside that: it needs NumPy and ONNX Runtime alone.

C++; cpu and cuda run a program, and never see each other::

    bindings -> cpu | cuda, ops -> program -> core
"""

from __future__ import annotations

import ast
import graphlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "genfast"
SOURCES = ROOT / "csrc"

# Top-level modules of the package, from the top; a new one must be given its place here.
LAYERS = [
    {"cli", "__main__"},
    {"demo", "info", "commands"},
    {"training", "exporting", "testing", "explaining", "causality", "metrics"},
    {"models"},
    {
        "nn", "heads", "sampling", "session", "reference", "compiled", "engines", "arguments",
        "data", "files", "runtime", "conditions", "likelihood", "pixels", "rasters", "watching",
    },
    {"ops", "program", "random", "hashing"},
    {"_extension", "threefry"},
]  # fmt: skip
RANK = {name: rank for rank, layer in enumerate(reversed(LAYERS)) for name in layer}

# What a folder of csrc may include from.
FOLDERS = {
    "core": {"core"},
    "program": {"program", "core"},
    "cpu": {"cpu", "program", "core"},
    "cuda": {"cuda", "program", "core"},
    "ops": {"ops", "cpu", "cuda", "core"},
    "bindings": {"bindings", "ops", "cpu", "cuda", "program", "core"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
CONTAINERS = {
    "algorithm", "any", "array", "deque", "format", "functional", "iostream", "list", "map",
    "memory", "numeric", "optional", "set", "span", "sstream", "string", "string_view", "tuple",
    "unordered_map", "unordered_set", "utility", "variant", "vector",
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module of genfast that a file names, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "genfast")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "genfast":
                yield from (f"genfast.{a.name}" for a in node.names)
            elif node.module is not None and node.module.startswith("genfast."):
                yield node.module


def top(module: str) -> str:
    """`genfast.program.buffers` belongs to `program`; the package itself to ``""``."""
    return module.partition(".")[2].partition(".")[0]


def python_arrows() -> dict[str, set[str]]:
    """Which top-level modules each top-level module imports, but for the package's own list."""
    arrows: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "__init__.py":
            source = top(module_name(path))
            arrows.setdefault(source, set()).update(top(m) for m in imports(path))
    return {source: targets - {source} for source, targets in arrows.items()}


def source_files() -> list[Path]:
    return sorted(
        p for p in SOURCES.rglob("*") if p.suffix in {".h", ".inl", ".cpp", ".cu", ".cuh"}
    )


def includes(path: Path) -> list[tuple[str, str]]:
    """(`<` or `"`, what is included) of every include of a file."""
    return INCLUDE.findall(path.read_text())


def closure(path: Path) -> set[Path]:
    """A file and all of csrc that it includes, directly or not."""
    seen, left = set(), [path]
    while left:
        here = left.pop()
        if here not in seen:
            seen.add(here)
            left += [SOURCES / name for kind, name in includes(here) if kind == '"']
    return seen


def weak_definitions(listing: str, isa: str) -> list[str]:
    """Weak symbols that an `nm` listing defines outside genfast::cpu::<isa>."""
    inside = re.compile(rf"_Z[A-Z]*7genfast3cpu{len(isa)}{isa}")
    lines = (line.split() for line in listing.splitlines())
    weak = [fields[-1] for fields in lines if len(fields) == 3 and fields[1] in "WVu"]
    return [symbol for symbol in weak if not inside.match(symbol)]


def object_files() -> list[Path]:
    """Per-ISA objects of optimised builds; sanitizers add weak symbols of their own."""
    build = Path(os.environ.get("GENFAST_BUILD", ROOT / "build"))
    found = sorted(build.rglob("isa_*.cpp.o"))
    return [path for path in found if not {"asan", "tsan", "tidy"} & set(path.parts)]


def test_every_python_module_has_a_layer() -> None:
    assert set(python_arrows()) <= set(RANK)


def test_python_imports_point_down() -> None:
    upward = [
        f"{source} imports {target or 'the package itself'}"
        for source, targets in python_arrows().items()
        for target in targets - {"_core"}
        if RANK.get(target, len(LAYERS)) > RANK.get(source, len(LAYERS))
    ]
    assert not upward


def test_python_imports_have_no_cycle() -> None:
    list(graphlib.TopologicalSorter(python_arrows()).static_order())


def test_only_extension_imports_core() -> None:
    assert [source for source, targets in python_arrows().items() if "_core" in targets] == [
        "_extension"
    ]


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(SOURCES)))
def test_includes(path: Path) -> None:
    folder = path.relative_to(SOURCES).parts[0]
    for kind, name in includes(path):
        root = name.split("/")[0]
        if kind == '"':
            assert root in FOLDERS[folder], f"{folder} may not include {name}"
            assert (SOURCES / name).is_file(), f"{name} is not a file of csrc"
        assert root not in {"torch", "ATen", "c10"}
        assert root != "pybind11" or folder == "bindings"
        assert not root.startswith(("cuda_", "cooperative_groups")) or folder == "cuda"


@pytest.mark.parametrize("folder", sorted(set(FOLDERS) - {"cuda"}))
def test_hosts_see_no_cuda_header(folder: str) -> None:
    """Nor through a header of csrc/cuda."""
    for path in (p for p in source_files() if p.relative_to(SOURCES).parts[0] == folder):
        reached = {name for file in closure(path) for kind, name in includes(file) if kind == "<"}
        assert not any(name.startswith("cuda") for name in reached), path


@pytest.mark.parametrize("path", sorted(SOURCES.glob("cpu/isa_*.cpp")), ids=lambda p: p.stem)
def test_isa_sources_use_no_container(path: Path) -> None:
    for file in closure(path):
        system = {name for kind, name in includes(file) if kind == "<"}
        assert not system & CONTAINERS, file


def test_isa_objects_define_nothing_weak_outside_their_namespace() -> None:
    if shutil.which("nm") is None:
        pytest.skip("no nm on the path")
    objects = object_files()
    if not objects:
        pytest.skip("no isa_*.cpp.o under build/ or $GENFAST_BUILD")
    for path in objects:
        listing = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
        isa = path.name.removeprefix("isa_").removesuffix(".cpp.o")
        assert not weak_definitions(listing, isa), path


def test_weak_definitions_are_found() -> None:
    listing = (
        "0000000000000000 T _ZN7genfast3cpu2v34sumsEv\n"
        "0000000000000000 W _ZN7genfast3cpu2v34tileIfEEvT_\n"
        "0000000000000000 W _ZSt3expf\n"
        "0000000000000000 W _ZN7genfast3cpu2v44tileIfEEvT_\n"
        "0000000000000000 V _ZN7genfast4core5tableE\n"
        "                 w __undefined\n"
    )
    assert weak_definitions(listing, "v3") == [
        "_ZSt3expf",
        "_ZN7genfast3cpu2v44tileIfEEvT_",
        "_ZN7genfast4core5tableE",
    ]


# What `import genfast` and a whole draw do without.
HEAVY = (
    "PIL", "accelerate", "huggingface_hub", "matplotlib", "onnx", "onnxruntime", "rich",
    "safetensors", "scipy", "sklearn", "tyro",
)  # fmt: skip


def python_without(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter that cannot import these."""
    whole = f"import sys; sys.modules.update(dict.fromkeys({blocked})); {code}"
    command = [sys.executable, "-W", "error", "-c", whole]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("blocked", "code"),
    [
        ((*HEAVY, "torch", "jaxtyping", "numpy", "genfast._core"), "import genfast; dir(genfast)"),
        ((*HEAVY, "torch", "jaxtyping", "genfast._core"), "import genfast.runtime"),
        (HEAVY, "from genfast import SequenceModel, heads; SequenceModel(heads.Categorical(3))"),
        (HEAVY, "from genfast import data, explain, fit, metrics, program, random, testing"),
    ],
    ids=["genfast", "runtime", "model", "rest"],
)
def test_imports_need_little(blocked: tuple[str, ...], code: str) -> None:
    """The other dependencies are imported where they are used."""
    done = python_without(blocked, code)
    assert done.returncode == 0, done.stderr


def test_blocked_modules_cannot_be_imported() -> None:
    assert "ModuleNotFoundError" in python_without(("torch",), "import genfast.random").stderr
