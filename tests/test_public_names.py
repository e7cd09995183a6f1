"""The public names: one table, imported when they are used, whatever was imported before."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import genfast

SOURCE = Path(genfast.__file__)


def typed_names() -> dict[str, str]:
    """Public name -> the module that the imports for mypy take it from."""
    tree = ast.parse(SOURCE.read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    return {
        alias.name: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_mypy_sees_the_names_of_the_table() -> None:
    assert set(typed_names()) == set(genfast._HOMES) == set(genfast.__all__)
    for name, module in typed_names().items():
        home = genfast._HOMES[name]
        assert module == "genfast" if not home else module.startswith(f"genfast.{home}")


@pytest.mark.parametrize("name", genfast.__all__)
def test_every_name_is_there(name: str) -> None:
    value = getattr(genfast, name)
    assert name in dir(genfast)
    assert isinstance(value, ModuleType) == (genfast._HOMES[name] == "")


def test_no_module_is_called_as_a_function_is() -> None:
    """Importing it would put the module where the function is."""
    functions = {name for name, home in genfast._HOMES.items() if home}
    modules = {path.stem for path in SOURCE.parent.iterdir()}
    assert not functions & modules


@pytest.mark.parametrize(
    "order",
    [
        "from genfast import explain, export",
        "import genfast.exporting, genfast.explaining",
        "from genfast.exporting import export; from genfast.explaining import explain",
        "from genfast.explaining import Explanation; import genfast.exporting",
        "import genfast.models, genfast.training.fit, genfast.sampling",
        "from genfast import *",
    ],
)
def test_functions_stay_functions_in_every_order(order: str) -> None:
    names = "explain export fit load register"
    code = (
        f"{order}; import genfast; from types import FunctionType as F; "
        f"assert all(isinstance(getattr(genfast, n), F) for n in {names.split()}); "
        f"{order}; assert all(isinstance(getattr(genfast, n), F) for n in {names.split()})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'paint'"):
        genfast.paint  # noqa: B018


def test_version_is_the_core_s() -> None:
    from genfast._extension import core

    assert genfast.__version__ == core.build_info()["version"]
