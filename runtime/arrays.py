"""What differs between NumPy's arrays and PyTorch's tensors, for functions that compute with either.

A program uses them with arrays. With tensors they become graphs for other programs: there every branch is computed, numbers of
pixels or landmarks may not depend on what is found, and complex numbers are two tensors.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor  # label.py, which has none, starts without PyTorch


@dataclass
class Complex:
    """Complex numbers as two tensors, for what is done with arrays of them."""

    real: "Tensor"
    imag: "Tensor"

    def __add__(self, other: "Complex") -> "Complex":
        return Complex(self.real + other.real, self.imag + other.imag)

    def __sub__(self, other: "Complex") -> "Complex":
        return Complex(self.real - other.real, self.imag - other.imag)

    def __mul__(self, other) -> "Complex":
        if not isinstance(other, Complex):
            return Complex(self.real * other, self.imag * other)
        return Complex(self.real * other.real - self.imag * other.imag, self.real * other.imag + self.imag * other.real)

    def __truediv__(self, other) -> "Complex":
        if not isinstance(other, Complex):
            return Complex(self.real / other, self.imag / other)
        return self * other.conj() / (other.real**2 + other.imag**2)

    def __abs__(self) -> "Tensor":
        return (self.real**2 + self.imag**2).sqrt()

    def __getitem__(self, index) -> "Complex":
        return Complex(self.real[index], self.imag[index])

    def __len__(self) -> int:
        return len(self.real)

    def reshape(self, *sides: int) -> "Complex":
        return Complex(self.real.reshape(*sides), self.imag.reshape(*sides))

    def conj(self) -> "Complex":
        return Complex(self.real, -self.imag)

    def sum(self) -> "Complex":
        return Complex(self.real.sum(), self.imag.sum())


def is_tensor(value) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def of(value) -> ModuleType:
    """The package whose functions take a value."""
    return sys.modules["torch"] if is_tensor(value) or isinstance(value, Complex) else np


def like(value, numbers, kind: type = float):
    """Numbers as an array, or as a tensor where `value` is one."""
    if is_tensor(numbers):
        return numbers
    array, package = np.array(numbers, kind), of(value)
    return array if package is np else package.from_numpy(array)


def as_complex(x, y):
    return Complex(x, y) if is_tensor(x) else x + 1j * y


def in_unit(values):
    """Clipped to [0, 1]; a second `clip(0, 1)` of the same tensor becomes a graph that is not valid."""
    return of(values).where(values > 1, 1.0, values.clip(min=0)) if is_tensor(values) else values.clip(0, 1)


def degrees(x, y):
    """The angle from x towards y; of tensors in single precision, since ONNX Runtime has no other."""
    if is_tensor(x):
        return of(x).atan2(y.float(), x.float()).double().rad2deg()
    return np.degrees(np.arctan2(y, x))


def order(values):
    """The indices that sort values, equal ones in the order that they have, as in ONNX's sorting."""
    return values.sort().indices if is_tensor(values) else np.argsort(values, kind="stable")


def picked(holds, *values) -> tuple:
    """Those of some values that `holds`, a mask of their shape, says, in one row, with the mask; of tensors all."""
    if not is_tensor(holds):
        return holds[holds], *(one[holds] for one in values)
    return holds.reshape(-1), *(one.reshape(-1) for one in values)


def choose(holds, value: Callable[[], Any], otherwise: Any) -> Any:
    """What `value` gives where a truth holds; of tensors both are computed, and their parts chosen from."""
    return chosen(holds, value(), otherwise) if is_tensor(holds) else value() if holds else otherwise


def chosen(holds: "Tensor", one: Any, other: Any) -> Any:
    if is_dataclass(one):
        return type(one)(*(chosen(holds, getattr(one, part.name), getattr(other, part.name)) for part in fields(one)))
    torch = of(holds)
    if torch.as_tensor(one).dtype == torch.bool:
        return (holds & one) | (~holds & other)  # ONNX Runtime chooses from numbers alone
    return one if isinstance(one, tuple) else torch.where(holds, one, other)


def as_tensors(value: Any) -> Any:
    """A dataclass whose arrays are tensors."""
    if is_dataclass(value):
        return replace(value, **{part.name: as_tensors(getattr(value, part.name)) for part in fields(value)})
    return sys.modules["torch"].from_numpy(value) if isinstance(value, np.ndarray) else value
