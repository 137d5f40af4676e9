"""Several processes as one, under torchrun; alone, every function here does next to nothing.

    torchrun --nproc-per-node=2 main.py

Of each batch a process works on every WORLD-th radiograph, whose random changes go by seed, epoch and its number alone, and
DistributedDataParallel averages the gradients: the result is that of one process with the same batch, but for what dropout draws
and the last digits.
"""

import os
import time
import warnings

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

RANK, WORLD = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
LOCAL_RANK = int(os.environ.get("LOCAL_RANK", 0))
FIRST = RANK == 0  # the process that writes and speaks
SETTLING = 0.5  # seconds that gloo needs, see `stop`


def start(device: torch.device) -> torch.device:
    """Join the other processes; returns the device of this one."""
    if WORLD == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", LOCAL_RANK)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def wrap(model: nn.Module) -> nn.Module:
    """The model to train with: its gradients are averaged over the processes."""
    if WORLD == 1:
        return model
    warnings.filterwarnings("ignore", "Grad strides do not match")  # of kernels of one channel, whose layout is both
    return DistributedDataParallel(model)


def part(batch: list) -> list:
    """What this process works on of a batch; a process without a radiograph takes the first one, for nothing."""
    return batch[RANK::WORLD] or batch[:1]


def weight(count: int) -> float:
    """Of the mean loss over this process's `part` of `count` radiographs, in the mean over all processes' losses."""
    return len(range(RANK, count, WORLD)) * WORLD / count


def gather(items: list) -> list:
    """The items of all processes, given out one by one to rank 0, 1, ...: [rank 0's first, rank 1's first, ...]."""
    if not dist.is_initialized():
        return items
    everyone: list = [None] * WORLD
    dist.all_gather_object(everyone, items)
    return [own[i] for i in range(max(map(len, everyone))) for own in everyone if i < len(own)]


def wait() -> None:
    """Until every process has come here."""
    if dist.is_initialized():
        dist.barrier()


def stop() -> None:
    """Leave the others.

    Gloo's threads free the tensors of the last `wait` under Python's lock; the end of the group holds that lock and waits for
    the threads. So they get time first, or one in some dozens of runs never ends.
    """
    if dist.is_initialized():
        time.sleep(SETTLING)
        dist.destroy_process_group()
