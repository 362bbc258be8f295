"""Which device a name stands for on this machine, or a sentence."""

from __future__ import annotations

import pytest
import torch

from diffperc.engine.device import find_device
from diffperc.errors import ConfigError


def test_the_cpu_is_always_there() -> None:
    assert find_device("cpu") == torch.device("cpu")


def test_auto_is_a_gpu_where_there_is_one() -> None:
    found = find_device("auto").type
    if torch.cuda.is_available():
        assert found == "cuda"
    elif torch.backends.mps.is_available():
        assert found == "mps"
    else:
        assert found == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU of CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_cuda_that_is_not_there_is_a_sentence(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"device={name}: torch finds no such device .*; use device=cpu or device=auto"
    ):
        find_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU of CUDA")
def test_gpus_are_counted_from_0() -> None:
    count = torch.cuda.device_count()
    assert find_device("cuda").type == "cuda"
    assert find_device(f"cuda:{count - 1}") == torch.device("cuda", count - 1)
    with pytest.raises(ConfigError, match=f"this machine has {count} GPUs, counted from 0"):
        find_device(f"cuda:{count}")


@pytest.mark.parametrize("name", ["gpu", "cudda", "", "meta", "0"])
def test_what_is_no_device_is_a_sentence(name: str) -> None:
    with pytest.raises(ConfigError, match=f"device: there is no '{name}'"):
        find_device(name)


def test_a_near_miss_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cuda'"):
        find_device("cudda")


@pytest.mark.parametrize("name", ["cpu:x", "cpu:-1"])
def test_a_number_that_is_none_is_a_sentence(name: str) -> None:
    with pytest.raises(ConfigError, match=f"device={name}: must be one of auto, cpu, cuda, mps, or such as cuda:1"):
        find_device(name)
