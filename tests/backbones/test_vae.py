"""TAESD in place of the VAE: `backbone.vae`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from diffperc.backbones import StableDiffusionBackbone
from diffperc.backbones.vae import small_vae
from diffperc.errors import WeightsError
from diffperc.weights.architecture import architecture
from tests.helpers import SHARED

NARROW = {
    "encoder_block_out_channels": (8, 8, 8, 8), "decoder_block_out_channels": (8, 8, 8, 8),
    "num_encoder_blocks": (1, 1, 1, 1), "num_decoder_blocks": (1, 1, 1, 1),
}  # fmt: skip


@pytest.fixture
def model() -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny(**NARROW).eval()


def test_a_folder_encodes_as_diffusers_does_at_the_vaes_own_scale(model: AutoencoderTiny, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    backbone = StableDiffusionBackbone(config="tiny", vae=str(tmp_path))
    image = torch.rand(2, 3, 64, 128)
    with torch.no_grad():
        expected = model.encode(image * 2 - 1).latents / 0.18215
    assert torch.equal(backbone.encode(image), expected)
    assert backbone.spec.strides == (8, 16, 32, 64)
    # a checkpoint builds it again without the folder
    again = StableDiffusionBackbone(config=backbone.architecture, empty=True)
    again.load_state_dict(backbone.state_dict(), assign=True)
    assert torch.equal(again.encode(image), expected)


def test_its_authors_file_has_the_same_tensors_under_shorter_names(tmp_path: Path) -> None:
    model = AutoencoderTiny().eval()
    state = {k.removeprefix("layers."): v.bfloat16() for k, v in model.encoder.state_dict().items()}
    save_file(state, tmp_path / "taesd_encoder.safetensors")
    _, found = small_vae(str(tmp_path / "taesd_encoder.safetensors"), architecture("sd15", None)["vae"], False)
    assert found.keys() == {f"encoder.{k}" for k in model.encoder.state_dict()}
    assert found["encoder.layers.0.weight"].dtype == torch.float32


def test_other_latents_and_other_files_are_refused(model: AutoencoderTiny, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "small")
    with pytest.raises(WeightsError, match=r"this UNet was pretrained with others \(scaling_factor 1, not 0.18215\)"):
        StableDiffusionBackbone(pretrained="tiny", vae=str(tmp_path / "small"))
    with pytest.raises(
        WeightsError, match=r"backbone.vae: there is no file or folder '/nowhere/taesd'. Give taesd, a file"
    ):
        StableDiffusionBackbone(config="tiny", vae="/nowhere/taesd")
    with pytest.raises(WeightsError, match=r"backbone.vae: the hub model 'madebyollin/taesd'.*could not be downloaded"):
        StableDiffusionBackbone(config="tiny", vae="taesd")
    config = json.loads((tmp_path / "small/config.json").read_text())
    (tmp_path / "small/config.json").write_text(json.dumps(config | {"_class_name": "AutoencoderKL"}))
    with pytest.raises(WeightsError, match="holds AutoencoderKL, not AutoencoderTiny"):
        StableDiffusionBackbone(config="tiny", vae=str(tmp_path / "small"))
    save_file({"0.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="tensors missing"):
        StableDiffusionBackbone(config="tiny", vae=str(tmp_path / "other.safetensors"))


def test_the_released_encoder_gives_latents_of_stable_diffusions_scale() -> None:
    """Latents of real images have a standard deviation of about 1 after the factor 0.18215, which was chosen for that."""
    file = SHARED.parent / "weights/taesd_encoder.safetensors"
    photos = sorted((SHARED / "photos").glob("*.jpg"))[:8]
    if not file.is_file() or not photos:
        pytest.skip("TAESD's weights and real images are not on this machine")
    from diffperc.files.images import read_image

    backbone = StableDiffusionBackbone(config="tiny", vae=str(file))
    latents = []
    for photo in photos:
        pixels = torch.from_numpy(read_image(photo)[:256, :256].copy()).permute(2, 0, 1)[None].float() / 255
        latents.append(backbone.encode(pixels[..., : pixels.shape[2] // 8 * 8, : pixels.shape[3] // 8 * 8]).flatten(2))
    scaled = torch.cat(latents, 2) * 0.18215
    assert (scaled.std() - 1).abs() < 0.25
