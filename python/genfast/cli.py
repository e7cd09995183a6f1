"""The command line: `genfast demo [KIND] | train KIND | sample | export | bench | info`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Annotated, Any, TypeAlias

import tyro

from genfast import demo, info
from genfast.commands import bench, export, sample, train, train_gan, train_pixelcnn, train_vae
from genfast.demo import digits, gan, latents

_FAILED = 1
_BAD_INPUT = 2
_INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended
_PIPE_CLOSED = 141  # and of one whose reader went away

Command: TypeAlias = (
    Annotated[demo.Demo, tyro.conf.subcommand("demo")]
    | Annotated[digits.DemoDigits, tyro.conf.subcommand("demo digits")]
    | Annotated[latents.DemoLatents, tyro.conf.subcommand("demo latents")]
    | Annotated[gan.DemoGAN, tyro.conf.subcommand("demo gan")]
    | Annotated[train.TrainSequence, tyro.conf.subcommand("train sequence")]
    | Annotated[train_pixelcnn.TrainPixelCNN, tyro.conf.subcommand("train pixelcnn")]
    | Annotated[train_vae.TrainVAE, tyro.conf.subcommand("train vae")]
    | Annotated[train_gan.TrainGAN, tyro.conf.subcommand("train gan")]
    | Annotated[sample.Sample, tyro.conf.subcommand("sample")]
    | Annotated[export.Export, tyro.conf.subcommand("export")]
    | Annotated[bench.Bench, tyro.conf.subcommand("bench")]
    | Annotated[info.Info, tyro.conf.subcommand("info")]
)
# Whose `run` does what the options ask for.
_MODULES: dict[type, ModuleType] = {
    demo.Demo: demo,
    digits.DemoDigits: digits,
    latents.DemoLatents: latents,
    gan.DemoGAN: gan,
    train.TrainSequence: train,
    train_pixelcnn.TrainPixelCNN: train_pixelcnn,
    train_vae.TrainVAE: train_vae,
    train_gan.TrainGAN: train_gan,
    sample.Sample: sample,
    export.Export: export,
    bench.Bench: bench,
    info.Info: info,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    Args:
        arguments: The words behind `genfast`; those of this process when None.

    Returns:
        0; after one line on standard error 2 when the input was bad, and 1 when training diverged,
        an export was not what it should be or an optional package is missing; 130 after Ctrl-C; 141
        when nobody reads the output any more.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a sample may hold what the terminal cannot show
    try:
        command = _parse(sys.argv[1:] if arguments is None else arguments)
        if command is not None:
            _MODULES[type(command)].run(command)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_pipe()
    except (ValueError, OSError) as error:
        return _refuse(str(error), _BAD_INPUT)
    except (ArithmeticError, ImportError, RuntimeError) as error:
        return _refuse(str(error), _FAILED)
    except KeyboardInterrupt:
        print("genfast: interrupted", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _parse(arguments: Sequence[str]) -> Any:
    """The options of the command asked for; None when help was.

    Raises:
        ValueError: The words make no command; what is wrong, in one line.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(Command, prog="genfast", args=_joined(arguments))
    except SystemExit as end:
        if not end.code:
            return None
        raise ValueError(f"{_first_line(complaint.getvalue())} (see genfast --help)") from None


def _joined(arguments: Sequence[str]) -> list[str]:
    """`train` and the kind of model behind it are one command to tyro, and so is `demo digits`."""
    first, *rest = arguments or [""]
    if first not in ("demo", "train"):
        return list(arguments)
    if rest[:1] and not rest[0].startswith("-"):
        return [f"{first} {rest[0]}", *rest[1:]]
    if first == "demo":
        return list(arguments)
    if set(rest) & {"-h", "--help"}:
        return ["--help"]
    raise ValueError(
        "train must be followed by what is trained: train sequence, train pixelcnn, train vae or "
        "train gan (see genfast --help)"
    )


def _first_line(box: str) -> str:
    """What tyro's framed complaint says above its first rule, unwrapped."""
    said = []
    for line in box.splitlines():
        words = line.strip("│ ")
        if words.startswith("─"):
            break
        if not words.startswith(("╭", "╰")):
            said.append(words)
    return " ".join(said) or "the command was not understood"


def _refuse(message: str, status: int) -> int:
    print(f"genfast: {' '.join(message.split())}", file=sys.stderr)
    return status


def _leave_pipe() -> int:
    """Lets Python flush what is left into nothing, instead of complaining at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _PIPE_CLOSED


if __name__ == "__main__":
    sys.exit(main())
