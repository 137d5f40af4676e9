"""Whether this machine computes a network's convolutions rightly: each kind is tried on random numbers before a training.

Libraries choose another routine for each processor, precision and shape, and one of them may be wrong without a word.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.device import autocast
from runtime.files import DataError

ROWS = 32  # of the pictures at most: the routine goes by channels, width and batch, and time goes by rows
TOLERANCE = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 2e-2}  # relative error that rounding explains: ten times the usual one
WEIGHT_GRADIENTS = "weight gradients"
RESULTS = "outputs", "input gradients", WEIGHT_GRADIENTS
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Kind:
    """Convolutions of one shape, that see pictures of one size."""

    type: type[nn.Conv2d]
    inputs: int
    outputs: int
    kernel: int
    height: int
    width: int


def kinds_of(network: nn.Module, shape: Shape, *factors: int) -> list[Kind]:
    """The kinds of convolution that a network has for pictures (B, C, H, W), told by the smallest pictures of the same form."""
    kinds: dict[Kind, None] = {}
    *_, channels, height, width = shape
    smallest = math.lcm(network.multiple, *factors)
    times = math.gcd(height // smallest, width // smallest)

    def note(module: nn.Conv2d, given: tuple[Tensor], _) -> None:
        sides = (times * side for side in given[0].shape[-2:])
        kinds[Kind(type(module), module.in_channels, module.out_channels, module.kernel_size[0], *sides)] = None

    trained = network.training
    network.eval()  # batch normalisation would learn from the picture
    hooks = [module.register_forward_hook(note) for module in network.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        network(next(network.parameters()).new_zeros(1, channels, height // times, width // times), *factors)
    for hook in hooks:
        hook.remove()
    network.train(trained)
    return list(kinds)


def faults(kinds: dict[Kind, int], device: torch.device, precision: str) -> Iterator[tuple[Kind, str, float]]:
    """(kind, one of RESULTS, relative error) that rounding does not explain, of batches of so many pictures of each kind."""
    for kind, batch in kinds.items():
        for result, error in zip(RESULTS, errors_of(kind, batch, device, precision)):
            if not error <= TOLERANCE[precision]:  # true of NaN
                yield kind, result, error


def errors_of(kind: Kind, batch: int, device: torch.device, precision: str) -> tuple[float, float, float]:
    """Relative errors of RESULTS, at some pixels and places of a kernel, where they are computed anew by their definition."""
    generator = torch.Generator().manual_seed(0)
    rows, half = min(kind.height, ROWS), kind.kernel // 2

    def draw(*shape: int) -> Tensor:
        """Numbers that bfloat16 has, so that only the sums differ."""
        return torch.randn(shape, generator=generator).bfloat16().float().to(device, memory_format=torch.channels_last)

    layer = kind.type(kind.inputs, kind.outputs, kind.kernel, padding=half, bias=True).to(device)
    layer.weight = nn.Parameter(draw(kind.outputs, kind.inputs, kind.kernel, kind.kernel))
    nn.init.zeros_(layer.bias)
    x, upstream = draw(batch, kind.inputs, rows, kind.width).requires_grad_(), draw(batch, kind.outputs, rows, kind.width)
    with torch.enable_grad(), autocast(device, precision):
        y = layer(x)
    to_x, to_weight = torch.autograd.grad(y, (x, layer.weight), upstream.to(y.dtype))

    weight, (x, upstream) = layer.weight.detach(), (part.detach() for part in (x, upstream))
    around_x, around_upstream = (F.pad(part, [half] * 4) for part in (x, upstream))
    mirrored = weight.flip(2, 3)

    def seen(padded: Tensor, i: int, j: int) -> Tensor:
        return padded[:, :, i : i + kind.kernel, j : j + kind.kernel]

    pixels, places = spots(rows, kind.width), spots(kind.kernel, kind.kernel)

    def of_weight(i: int, j: int) -> Tensor:
        return torch.einsum("bohw,bchw->oc", upstream, around_x[:, :, i : i + rows, j : j + kind.width])

    return (
        relative(y, pixels, lambda i, j: torch.einsum("bchw,ochw->bo", seen(around_x, i, j), weight)),
        relative(to_x, pixels, lambda i, j: torch.einsum("bohw,ochw->bc", seen(around_upstream, i, j), mirrored)),
        relative(to_weight, places, of_weight),
    )


def spots(height: int, width: int) -> list[tuple[int, int]]:
    """The corners and the middle."""
    return [*product((0, height - 1), (0, width - 1)), (height // 2, width // 2)]


def relative(found: Tensor, where: list[tuple[int, int]], expected: Callable[[int, int], Tensor]) -> float:
    """The error of results at some places, over their norm."""
    truth = torch.stack([expected(i, j) for i, j in where])
    return ((torch.stack([found[..., i, j] for i, j in where]) - truth).norm() / truth.norm()).item()


def settle(network: nn.Module, shapes: list[tuple[Shape, tuple[int, ...]]], precision: str) -> str:
    """The precision that a network can be trained in here: the one that is asked for, or float32 where that is wrong.

    Where one of a layer's ways to its weight gradients is wrong, the next is taken. Both are said. `shapes` are those of pictures
    (B, C, H, W), each with its spatial factor if there is one. Raises DataError where float32 is wrong too.
    """
    device = next(network.parameters()).device
    kinds = {kind: shape[0] for shape, factors in shapes for kind in kinds_of(network, shape, *factors)}
    while wrong := next(faults(kinds, device, precision), None):
        kind, result, error = wrong
        what = f"{precision} {result} of {kind.kernel} x {kind.kernel} kernels"
        said = f"{what} are wrong on this {device.type.upper()} with torch {torch.__version__} (off by {error:.0%}); using"
        layer = kind.type
        if result == WEIGHT_GRADIENTS and len(getattr(layer, "ways", ())) > 1:
            layer.ways = layer.ways[1:]
            print(f"{said} {layer.ways[0]} for them")
        elif precision != "float32":
            precision = "float32"
            print(f"{said} float32")
        else:
            raise DataError(f"{said} float32 already: nothing can be learnt here; install another version of torch")
    return precision
