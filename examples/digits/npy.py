"""Reads .npy files of plain numbers with the standard library alone."""

from __future__ import annotations

import array
import ast
import math
import struct
from typing import Any

_CODES = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|u1": "B"}


def read(path: str) -> tuple[tuple[int, ...], array.array[Any]]:
    """The shape and the values in row order."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:6] != b"\x93NUMPY":
        raise ValueError(f"{path} is no .npy file")
    size, start = (
        (struct.unpack_from("<H", data, 8)[0], 10)
        if data[6] == 1
        else (struct.unpack_from("<I", data, 8)[0], 12)
    )
    header = ast.literal_eval(data[start : start + size].decode("latin1"))
    if header["fortran_order"] or header["descr"] not in _CODES:
        raise ValueError(f"{path} holds {header['descr']}, which is not read here")
    values: array.array[Any] = array.array(_CODES[header["descr"]], data[start + size :])
    if len(values) != math.prod(header["shape"]):
        raise ValueError(f"{path} holds {len(values)} values, not {header['shape']}")
    return header["shape"], values
