"""The command line: `genfast demo | info`."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from typing import Annotated, TypeAlias

import tyro

from genfast import demo, info

_FAILED = 1
_BAD_INPUT = 2
_INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    Args:
        arguments: The words behind `genfast`; those of this process when None.

    Returns:
        0; after one line on standard error 2 when the input was bad and 1 when training diverged;
        130 after Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a sample may hold what the terminal cannot show
    try:
        command = _parse(sys.argv[1:] if arguments is None else arguments)
        if isinstance(command, demo.Demo):
            demo.run(command)
        elif command is not None:
            print("\n".join(info.lines()))
    except (ValueError, OSError) as error:
        return _refuse(str(error), _BAD_INPUT)
    except FloatingPointError as error:
        return _refuse(str(error), _FAILED)
    except KeyboardInterrupt:
        print("genfast: interrupted", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _parse(arguments: Sequence[str]) -> demo.Demo | info.Info | None:
    """The command asked for; None when help was.

    Raises:
        ValueError: The words make no command; what is wrong, in one line.
    """
    commands: TypeAlias = (
        Annotated[demo.Demo, tyro.conf.subcommand("demo")]
        | Annotated[info.Info, tyro.conf.subcommand("info")]
    )
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(commands, prog="genfast", args=arguments)
    except SystemExit as end:
        if not end.code:
            return None
        raise ValueError(f"{_first_line(complaint.getvalue())} (see genfast --help)") from None


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


if __name__ == "__main__":
    sys.exit(main())
