"""Arguments as the engine takes them, or an InvalidArgumentError that names what is wrong with one."""

import operator
from typing import Any

import numpy as np

from .errors import InvalidArgumentError


def whole(name: str, value: Any, least: int = 0, most: int = 2**64 - 1) -> int:
    """An integer; floats are none, whole or not."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidArgumentError(f"{name} is {value!r}; give an integer") from None
    if not least <= number <= most:
        raise InvalidArgumentError(f"{name} is {number}; give {least} to {most}")
    return number


def real(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidArgumentError(f"{name} is {value!r}; give a number") from None


def word(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} is {value!r}; give a string")
    return value


def threads(value: Any) -> int:
    return whole("threads", value, most=2**32 - 1)


def row_numbers(name: str, rows: Any) -> np.ndarray:
    """Row numbers as a flat array of uint64."""
    numbers = np.asarray(rows)
    if numbers.size and numbers.dtype.kind not in "iu":
        raise InvalidArgumentError(f"{name} are row numbers, which are integers, not {numbers.dtype}")
    if numbers.size and int(numbers.min()) < 0:
        raise InvalidArgumentError(f"{name} have {numbers.min()} among them; rows are counted from 0")
    return np.ascontiguousarray(numbers, dtype=np.uint64).reshape(-1)
