from __future__ import annotations

import pytest

from diffperc.backbones import StableDiffusionBackbone
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import architecture


def test_original_names_are_those_of_stable_diffusion() -> None:
    """Known pairs of the map at SD 1.5's layout (methods.md 0.9)."""
    sd15 = architecture("sd15", None)
    unet = ldm.unet_modules(sd15["unet"])
    assert unet["input_blocks.3.0.op"] == "down_blocks.0.downsamplers.0.conv"
    assert unet["input_blocks.4.0.skip_connection"] == "down_blocks.1.resnets.0.conv_shortcut"
    assert unet["input_blocks.8.1"] == "down_blocks.2.attentions.1"
    assert unet["input_blocks.11.0.in_layers.0"] == "down_blocks.3.resnets.1.norm1"
    assert unet["output_blocks.2.1.conv"] == "up_blocks.0.upsamplers.0.conv"
    assert unet["output_blocks.5.2.conv"] == "up_blocks.1.upsamplers.0.conv"
    assert unet["output_blocks.11.1"] == "up_blocks.3.attentions.2"
    vae = ldm.vae_modules(sd15["vae"])
    assert vae["encoder.down.2.downsample.conv"] == "encoder.down_blocks.2.downsamplers.0.conv"
    assert vae["encoder.mid.attn_1.proj_out"] == "encoder.mid_block.attentions.0.to_out.0"


@pytest.mark.parametrize("name", ["sd15", "sd21", "tiny"])
def test_the_map_covers_every_tensor_both_ways(name: str) -> None:
    backbone = StableDiffusionBackbone(config=name, empty=True)
    arch = backbone.architecture
    unet = backbone.unet.state_dict()
    there = ldm.unet_to_ldm(unet, arch["unet"])
    assert len(there) == len(unet)
    assert ldm.unet_from_ldm(there, arch["unet"]).keys() == unet.keys()
    vae = backbone.vae.state_dict()
    back = ldm.vae_from_ldm(ldm.vae_to_ldm(vae, arch["vae"]), arch["vae"])
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in vae.items()}
