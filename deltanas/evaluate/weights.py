"""Weights as a child answers with them: bytes in safetensors' format, checked and written anew.

The format is a length, a table in JSON and raw numbers: nothing in it is ever run or unpickled.
Of the table that a child sent only names, types and shapes are kept, each within bounds, and only
where they account for every byte.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

HEADER_CAP = 2**20  # bytes of the table
MAX_TENSORS = 10_000
MAX_AXES = 8
BYTES_PER_PARAMETER = 8  # buffers, as those of normalisation, come on top of 4
_LENGTH = 8  # bytes, little endian
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8,
    "F16": 2, "BF16": 2, "F32": 4, "F64": 8, "C64": 8,
}  # fmt: skip
_NAME = re.compile(r"[\x21-\x7e]{1,256}")  # of a tensor: layers and attributes, with dots between


class WeightsError(ValueError):
    """Bytes that are no weights; the message says what is wrong with them."""


def weights_cap(max_parameters: int) -> int:
    """Return the most bytes of weights that a network of so many parameters may answer with."""
    return _LENGTH + HEADER_CAP + BYTES_PER_PARAMETER * max_parameters


def checked_weights(raw: bytes, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the same tensors in the same format, under a table of our own with our metadata.

    Raises WeightsError for whatever is not exactly that.
    """
    size = int.from_bytes(raw[:_LENGTH], "little")
    table = raw[_LENGTH : _LENGTH + min(size, HEADER_CAP)]
    data = memoryview(raw)[_LENGTH + size :]  # not copied: it may be large
    if not 0 < size <= HEADER_CAP or len(table) < size:
        raise WeightsError(f"a table of {size} bytes in {len(raw)}")
    try:
        claimed = json.loads(table)
    except (ValueError, RecursionError) as error:
        raise WeightsError("a table that is no JSON") from error
    if not isinstance(claimed, dict):
        raise WeightsError(f"a table that is a {type(claimed).__name__}")
    claimed.pop("__metadata__", None)
    if len(claimed) > MAX_TENSORS:
        raise WeightsError(f"{len(claimed)} tensors; at most {MAX_TENSORS} are taken")
    tensors = sorted(
        (_tensor(name, each) for name, each in claimed.items()), key=lambda each: each[1:3]
    )
    end = 0
    for name, start, stop, _ in tensors:
        if start != end:
            raise WeightsError(f"{name!r} begins at byte {start}, where {end} is due")
        end = stop
    if end != len(data):
        raise WeightsError(f"{len(data)} bytes of numbers; the table tells of {end}")
    return _written({name: entry for name, _, _, entry in tensors}, data, metadata or {})


def _tensor(name: str, claimed: Any) -> tuple[str, int, int, dict[str, Any]]:
    """Return name, first byte, last byte + 1 and table entry of one tensor."""
    if not _NAME.fullmatch(name):
        raise WeightsError(f"a tensor called {name[:40]!r}")
    if not isinstance(claimed, dict) or claimed.keys() != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(f"{name!r} lacks type, shape or place")
    dtype, shape, place = claimed["dtype"], claimed["shape"], claimed["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise WeightsError(f"{name!r} has a type that is not taken")
    if not _are_sizes(shape, MAX_AXES) or not _are_sizes(place, 2) or len(place) != 2:
        raise WeightsError(f"{name!r} has no shape or no place")
    start, stop = place
    if stop - start != math.prod(shape) * _BYTES[dtype]:
        raise WeightsError(f"{name!r} takes {stop - start} bytes, which is not its shape's")
    return name, start, stop, {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def _are_sizes(value: Any, at_most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= at_most
        and all(type(each) is int and 0 <= each < 2**48 for each in value)
    )


def _written(entries: Mapping[str, Any], data: memoryview, metadata: Mapping[str, str]) -> bytes:
    told = {"__metadata__": {"format": "pt", **metadata}, **entries}
    table = json.dumps(told, separators=(",", ":")).encode()
    table += b" " * (-len(table) % _LENGTH)  # numbers are aligned
    return b"".join((len(table).to_bytes(_LENGTH, "little"), table, data))
