from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from diffperc.errors import ConfigError
from diffperc.layers.norm import BatchNorm2d
from diffperc.losses import silog_loss


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(4, 3, 6, 6, generator=generator) * 3 + torch.arange(4.0)[:, None, None, None]
    target = torch.rand(4, 1, 6, 6, generator=generator) + 0.5
    target[0, :, :3] = 0  # the processes measure different numbers of pixels
    return image, target


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), BatchNorm2d(4), nn.Conv2d(4, 1, 1), nn.Upsample((6, 6)), nn.Softplus())


def step(model: nn.Module, part: slice) -> torch.Tensor:
    image, target = data()
    loss = silog_loss(model(image[part]), target[part])
    loss.backward()
    return loss


def run(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(network())
    loss = step(model, slice(2 * rank, 2 * rank + 2))
    gradients = [p.grad for p in model.parameters()]
    buffers = [b.clone() for b in model.module.buffers()]
    torch.save((loss.detach(), gradients, buffers), f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one_with_the_global_batch(tmp_path: Path) -> None:
    """Loss, gradients and running statistics, through batch norm and the SiLog loss."""
    model = network()
    loss = step(model, slice(0, 4))
    mp.spawn(run, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        other, gradients, buffers = torch.load(tmp_path / f"rank{rank}.pt")
        torch.testing.assert_close(other, loss.detach(), rtol=1e-5, atol=1e-6)
        for p, gradient in zip(model.parameters(), gradients, strict=True):
            torch.testing.assert_close(gradient, p.grad, rtol=1e-3, atol=1e-5)
        for a, b in zip(model.buffers(), buffers, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_in_one_process_it_equals_torchs(training: bool) -> None:
    ours, theirs = BatchNorm2d(3).train(training), nn.BatchNorm2d(3).train(training)
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)  # type: ignore[arg-type]


def test_one_number_per_channel_is_refused_with_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"take two images or more per batch \(images_at_once"):
        BatchNorm2d(3)(torch.zeros(1, 3, 1, 1))
    assert BatchNorm2d(3).eval()(torch.zeros(1, 3, 1, 1)).shape == (1, 3, 1, 1)
