from __future__ import annotations

import copy
import dataclasses
import logging
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from diffperc.engine.build import build_dataset, build_model
from diffperc.errors import ConfigError
from diffperc.models import LatentCache, LatentsInMemory, LatentsOnDisk, PerceptionModel, make_fast
from diffperc.models.latent_cache import fingerprint
from diffperc.types import Batch
from tests.helpers import composed


def model_that_counts(cache: LatentCache, *overrides: str) -> tuple[PerceptionModel, list[int]]:
    """A network, and the sizes of the batches that it has encoded."""
    torch.manual_seed(0)
    cfg = composed("task=depth", "strategy=unconditional", *overrides)
    model = build_model(cfg, build_dataset(cfg, "val").info).eval().requires_grad_(False)
    model.keep_latents(cache)
    encoded: list[int] = []
    backbone: Any = model.backbone
    encode = backbone.encode

    def counted(image: Tensor) -> Tensor:
        encoded.append(len(image))
        found: Tensor = encode(image)
        return found

    backbone.encode = counted
    return model, encoded


def batch(seed: int, images: int = 2) -> Batch:
    return Batch(torch.rand(images, 3, 64, 64, generator=torch.Generator().manual_seed(seed)))


def test_an_image_is_encoded_once_and_the_prediction_stays_to_the_bit() -> None:
    model, encoded = model_that_counts(LatentsInMemory(10**9))
    first = model(batch(0)).dense
    again = model(batch(0)).dense
    assert encoded == [2]
    assert torch.equal(first, again)
    model(dataclasses.replace(batch(0), image=batch(0).image.flip(-1)))  # the mirror image is another
    assert encoded == [2, 2]
    mixed = Batch(torch.cat([batch(0).image[:1], batch(1).image[:1]]))
    torch.testing.assert_close(model(mixed).dense[0], first[0])
    assert encoded == [2, 2, 2]
    one = model(Batch(batch(0).image[1:])).dense
    assert encoded == [2, 2, 2]
    torch.testing.assert_close(one[0], first[1])


def test_another_network_with_the_same_encoder_shares_and_one_with_another_does_not() -> None:
    cache = LatentsInMemory(10**9)
    model, _ = model_that_counts(cache)
    model(batch(0))
    other, encoded = model_that_counts(cache, "strategy=meta_prompts")
    make_fast(other)
    other(batch(0))
    assert encoded == []
    foreign, encoded = model_that_counts(cache, "backbone.pretrained=null", "backbone.config=tiny")
    foreign(batch(0))
    assert encoded == [2]


def test_training_encodes_always_and_in_another_precision_too() -> None:
    model, encoded = model_that_counts(LatentsInMemory(10**9))
    model(batch(0))
    model.train()(batch(0))
    assert encoded == [2, 2]
    model.eval()
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            model(batch(0))
    model.bfloat16()(Batch(batch(0).image.bfloat16()))
    assert encoded == [2, 2, 2, 2, 2]


def test_memory_is_bounded_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    kilobyte = 4 * 8 * 8 * 4  # latents of an image
    cache = LatentsInMemory(3 * kilobyte)
    model, encoded = model_that_counts(cache)
    with caplog.at_level(logging.INFO):
        for seed in (0, 1, 2, 0, 2):
            model(batch(seed))
    assert encoded == [2, 2, 2, 2]
    assert (len(cache), cache.size) == (3, 3 * kilobyte)
    assert caplog.text.count("latents of 3 images are kept") == 1
    none, encoded = model_that_counts(LatentsInMemory(0))
    none(batch(0))
    none(batch(0))
    assert encoded == [2, 2]


def test_a_file_gives_a_later_run_the_same_bits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, encoded = model_that_counts(LatentsInMemory(0))
    model.keep_latents(training=LatentsOnDisk(tmp_path / "new", 4, 10**9))
    with caplog.at_level(logging.INFO):
        first = model.train()(batch(0)).dense
    assert "latents of 4 views will take up to 0.0 GB in" in caplog.text
    assert encoded == [2]
    later, encoded = model_that_counts(LatentsInMemory(0))
    stored = LatentsOnDisk(tmp_path / "new", 4, 10**9)
    later.keep_latents(training=stored)
    assert len(stored) == 2
    assert torch.equal(later.train()(batch(0)).dense, first)
    half = later(Batch(batch(0).image[1:])).dense
    assert encoded == []
    assert half.shape == first[1:].shape
    later(batch(1))
    later.eval()(batch(1))  # predictions do not use it
    assert encoded == [2, 2]
    assert len(copy.deepcopy(later)._stored) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_file_holds_every_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    def encode(image: Tensor) -> Tensor:
        return image.to(dtype) * 3

    image = torch.rand(2, 3, 8, 16)
    for _ in range(2):
        assert torch.equal(LatentsOnDisk(tmp_path, 2, 10**9)(b"", image, encode), image.to(dtype) * 3)


def write_forty(folder: Path) -> None:
    store = LatentsOnDisk(folder, 40, 10**9)
    for i in range(40):
        image = torch.full((1, 3, 8, 8), float(i))
        assert torch.equal(store(b"", image, lambda x: x + 1), image + 1)


def test_processes_write_one_file_together(tmp_path: Path) -> None:
    # each begins with a file of its own: connections are not handed down
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=write_forty, args=(tmp_path,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(100)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(LatentsOnDisk(tmp_path, 40, 10**9)) == 40


def test_a_file_is_bounded_and_that_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = LatentsOnDisk(tmp_path, 100, 100_000)
    for i in range(100):
        image = torch.full((1, 3, 32, 32), float(i))
        assert torch.equal(store(b"", image, lambda x: x + 1), image + 1)
    assert 1 <= len(store) < 10
    assert caplog.text.count("views.limit, 0.0001 GB, is reached") == 1


def test_a_file_that_is_something_else_or_damaged_is_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "latents.sqlite").write_bytes(b"something else" * 1000)
    with pytest.raises(
        ConfigError, match=r"latents\.sqlite: latents cannot be stored there \(file is not a database\)"
    ):
        LatentsOnDisk(tmp_path, 4, 10**9)
    folder = tmp_path / "damaged"
    store = LatentsOnDisk(folder, 40, 10**9)
    images = torch.rand(40, 3, 32, 32)
    store(b"", images, lambda x: x + 1)
    store._file.close()
    file = folder / "latents.sqlite"
    content = bytearray(file.read_bytes())
    content[4096:] = b"\x55" * (len(content) - 4096)
    file.write_bytes(content)
    store = LatentsOnDisk(folder, 40, 10**9)
    for _ in range(2):
        assert torch.equal(store(b"", images, lambda x: x + 1), images + 1)
    assert caplog.text.count("cannot be read (database disk image is malformed)") == 1
    other = LatentsOnDisk(tmp_path / "one bit", 4, 10**9)
    other(b"", images[:1], lambda x: x + 1)
    ((data,),) = other._file.execute("SELECT data FROM latents").fetchall()
    other._file.execute("UPDATE latents SET data = ?", (data[:-1] + bytes([data[-1] ^ 1]),))
    assert torch.equal(other(b"", images[:1], lambda x: x + 1), images[:1] + 1)
    assert "cannot be read (a row differs from its checksum)" in caplog.text
    (tmp_path / "a file").touch()
    with pytest.raises(ConfigError, match=r"give another views\.folder"):
        LatentsOnDisk(tmp_path / "a file", 4, 10**9)


def test_an_encoder_is_its_weights_and_its_configuration() -> None:
    small = AutoencoderTiny(encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8))
    before = fingerprint(small)
    assert fingerprint(copy.deepcopy(small)) == before
    small.register_to_config(scaling_factor=0.5)
    scaled = fingerprint(small)
    with torch.no_grad():
        next(small.parameters()).add_(1)
    assert len({before, scaled, fingerprint(small)}) == 3
