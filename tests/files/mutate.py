"""A seeded mutator of saved folders: of their bytes, and of the JSON inside them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from saved_models import SYMBOLS, Bytes, joined_weights, model_of, split_weights

WEIGHTS, CONFIG = "model.safetensors", "config.json"
Folder = dict[str, bytes]

#: What a value of JSON becomes; text that json.dumps cannot write stands in for itself.
RAW = {"@deep": "[" * 5000, "@digits": "1" + "0" * 5000, "@huge": "1e999", "@half": '"\\ud800"'}
VALUES: list[Any] = [
    *(0, 1, -1, 2, 5, 6, 7, 8, 17, 256, 257, 1024, 1025, 65_536, 65_537, 2**24, 2**24 + 1),
    *(2**31, 2**32, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 0.0, 5.0, 0.5, -0.5, 1e308),
    *(True, False, None, "", "lstm", "gru", "zeros", "learnt", "5", "x" * 3000, "F16", "BF16"),
    *("F64", "I64", "é", "\0", [], {}, [[]], [5, 5], {"kind": "bytes"}, {"class": "Categorical"}),
    *(float("nan"), float("inf"), *RAW),
]


def base_folders(where: Path) -> list[Folder]:
    """Models of every kind, saved, as bytes by name."""
    models = [
        model_of(5),
        model_of(5, cell="gru", depth=2, start="zeros", symbols=SYMBOLS),
        model_of(3, classes=256, start=3, symbols=Bytes()),
        model_of(4).to(torch.float16),
        model_of(4, cell="gru").to(torch.float64),
    ]
    folders = []
    for number, model in enumerate(models):
        model.save(where / str(number), figures={"bits": 2.5, "steps": 100})
        folders.append(
            {name: (where / str(number) / name).read_bytes() for name in (WEIGHTS, CONFIG)}
        )
    return [*folders, {WEIGHTS: folders[0][WEIGHTS]}]


def written(value: Any) -> str:
    """JSON, and what no JSON is."""
    text = json.dumps(value)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield value, key
            yield from places(value[key])


def mutate_value(chance: random.Random, value: Any) -> None:
    """Changes, drops, renames, doubles or swaps something anywhere inside a JSON object."""
    found = list(places(value))
    if not found:
        return
    container, key = chance.choice(found)
    kind = chance.random()
    if kind < 0.6:
        container[key] = chance.choice(VALUES)
    elif kind < 0.7 and isinstance(container[key], int):
        container[key] += chance.choice([-1, 1, 2, 1000])
    elif kind < 0.8:
        container.pop(key)
    elif kind < 0.9 and isinstance(container, dict):
        container[chance.choice(["x", "", key + " ", "width"])] = container[key]
    else:
        other, place = chance.choice(found)
        container[key] = json.loads(json.dumps(other[place]))


def mutate_bytes(chance: random.Random, raw: bytes) -> bytes:
    """Flips bits, overwrites, cuts out, cuts off, or puts in; half the time near the start."""
    data = bytearray(raw)
    at = chance.randrange(max(1, len(data) if chance.random() < 0.5 else min(len(data), 900)))
    length = chance.choice([1, 1, 2, 4, 8, 64, 1000])
    noise = bytes(chance.choice([0, 255, chance.randrange(256)]) for _ in range(length))
    kind = chance.randrange(5)
    if kind == 0:
        for _ in range(length):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        data[at : at + length] = noise
    elif kind == 2:
        del data[at : at + length]
    elif kind == 3:
        del data[at:]
    else:
        data[at:at] = noise
    return bytes(data)


def mutate_header(chance: random.Random, folder: Folder) -> None:
    header, data = split_weights(folder[WEIGHTS])
    mutate_value(chance, header)
    folder[WEIGHTS] = joined_weights(written(header), data)


def mutate_arguments(chance: random.Random, folder: Folder) -> None:
    """In the metadata; as often as not in config.json alike, so that the two agree."""
    header, data = split_weights(folder[WEIGHTS])
    arguments = json.loads(header["__metadata__"]["arguments"])
    for _ in range(chance.choice([1, 1, 2])):
        mutate_value(chance, arguments)
    header["__metadata__"]["arguments"] = written(arguments)
    folder[WEIGHTS] = joined_weights(json.dumps(header), data)
    if CONFIG in folder and chance.random() < 0.7:
        config = json.loads(folder[CONFIG])
        config["arguments"] = arguments
        folder[CONFIG] = written(config).encode()


def mutate_config(chance: random.Random, folder: Folder) -> None:
    config = json.loads(folder.get(CONFIG, b"{}"))
    mutate_value(chance, config)
    folder[CONFIG] = written(config).encode(errors="surrogatepass")


def mutate_data(chance: random.Random, folder: Folder) -> None:
    """Words of the weights; many of them are NaN or infinite."""
    header, data = split_weights(folder[WEIGHTS])
    changed = bytearray(data)
    for _ in range(chance.choice([1, 3])):
        at = chance.randrange(len(changed) // 4) * 4
        changed[at : at + 4] = chance.choice(
            [chance.randbytes(4), b"\0\0\x80\x7f", b"\0\0\xc0\xff", b"\0\x7c\0\xfc", b"\0\0\0\0"]
        )
    folder[WEIGHTS] = joined_weights(json.dumps(header), bytes(changed))


def mutate_file(chance: random.Random, folder: Folder) -> None:
    name = chance.choice(list(folder))
    folder[name] = mutate_bytes(chance, folder[name])


def mutate_files(chance: random.Random, folder: Folder) -> None:
    """Files that are missing, empty, or each other's."""
    name = chance.choice(list(folder))
    kind = chance.randrange(3)
    if kind == 0:
        del folder[name]
    elif kind == 1:
        folder[name] = b""
    else:
        folder[name] = folder[chance.choice(list(folder))]


def mutated(number: int, bases: list[Folder]) -> Folder:
    """The mutated folder of this number, the same in every run."""
    chance = random.Random(number)
    folder = dict(chance.choice(bases))
    chance.choice(MUTATIONS)(chance, folder)
    return folder


MUTATIONS: list[Callable[[random.Random, Folder], None]] = [
    *[mutate_file] * 6,
    *[mutate_header] * 5,
    *[mutate_arguments] * 6,
    *[mutate_config] * 3,
    *[mutate_data] * 3,
    mutate_files,
]
