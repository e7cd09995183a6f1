"""ONNX Runtime: a session on the device that was asked for, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["Provider", "import_onnxruntime", "open_session", "wheel_clash"]

#: A provider's name, or its name and options.
Provider = str | tuple[str, dict[str, Any]]
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_WHEELS = ("onnxruntime", "onnxruntime-gpu")


def import_onnxruntime() -> Any:
    """The module `onnxruntime`.

    Raises:
        ImportError: It is not installed, or its files are not all there.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            f"Sampler: needs onnxruntime (or onnxruntime-gpu), which does not import: {error}"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ImportError(f"Sampler: onnxruntime is installed in part; {wheel_clash() or _AGAIN}")
    return onnxruntime


def open_session(
    model: bytes,
    where: str,
    device: str,
    providers: Sequence[Provider] | None,
    threads: int | None,
) -> Any:
    """An `onnxruntime.InferenceSession` that runs where it was asked to.

    Args:
        model: The graph.
        where: Its place, for errors.
        device: "cpu", or "cuda", which must really run.
        providers: ONNX Runtime's own list, in place of the device's.
        threads: Of one operator; ONNX Runtime's choice when None.

    Raises:
        ImportError: ONNX Runtime is not installed.
        ValueError: An argument is wrong, a provider does not run, or the graph does not load.
    """
    runtime = import_onnxruntime()
    chosen = list(_of_device(device) if providers is None else providers)
    names = [provider if isinstance(provider, str) else provider[0] for provider in chosen]
    if not names:
        raise ValueError("Sampler: providers must name at least one, got none")
    if device == "cuda" and CUDA not in names:
        raise ValueError(f"Sampler: device 'cuda' wants {CUDA} among providers, got {names}")
    _check_there(names, runtime.get_available_providers())
    if CUDA in names and hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls()  # finds the CUDA libraries that wheels have brought
    options = _options(runtime, threads)
    try:
        session = runtime.InferenceSession(model, options, providers=chosen)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Sampler: ONNX Runtime cannot load {where}: {reason}") from error
    _check_running(names, session.get_providers())
    return session


def wheel_clash() -> str:
    """What to do where the wheels for CPU and GPU lie over each other; "" where they do not."""
    if not all(map(_installed, _WHEELS)):
        return ""
    return (
        f"{' and '.join(_WHEELS)} are both installed and overwrite each other's files: run "
        f"`pip uninstall {' '.join(_WHEELS)}` and install one of them again"
    )


_AGAIN = "install it again"


def _of_device(device: str) -> list[Provider]:
    if device not in ("cpu", "cuda"):
        raise ValueError(f"Sampler: device must be 'cpu' or 'cuda', got {device!r}")
    return [CPU] if device == "cpu" else [CUDA, CPU]


def _options(runtime: Any, threads: int | None) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors; what matters is raised
    if threads is not None:
        if type(threads) is not int or threads < 1:
            raise ValueError(f"Sampler: threads must be an integer of at least 1, got {threads!r}")
        options.intra_op_num_threads = threads
    return options


def _check_there(names: list[str], available: list[str]) -> None:
    """ValueError for a provider that this ONNX Runtime was built without."""
    missing = [name for name in names if name not in available]
    if missing:
        why = wheel_clash() or _hint(missing)
        raise ValueError(
            f"Sampler: {missing[0]} is not in this ONNX Runtime, which has "
            f"{', '.join(available)}; {why}"
        )


def _hint(missing: list[str]) -> str:
    if CUDA not in missing:
        return "see ONNX Runtime's list of execution providers"
    return "CUDA needs the wheel onnxruntime-gpu in place of onnxruntime"


def _check_running(names: list[str], running: list[str]) -> None:
    """ValueError where ONNX Runtime quietly fell back to another provider."""
    missing = [name for name in names if name not in running]
    if missing:
        clash = wheel_clash()
        raise ValueError(
            f"Sampler: {missing[0]} did not start, ONNX Runtime fell back to {', '.join(running)}; "
            f"{clash or 'its libraries or a device for it were not found'}"
        )


def _installed(wheel: str) -> bool:
    try:
        version(wheel)
    except PackageNotFoundError:
        return False
    return True
