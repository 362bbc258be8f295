"""Stable Diffusion's original names and diffusers', both ways."""

from __future__ import annotations

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.checkpoints import from_original, to_original
from diffperc.errors import WeightsError
from diffperc.weights.architecture import architecture


def test_original_names_and_back() -> None:
    """The names are those of methods.md 0.9; going there and back changes nothing."""
    tiny = architecture("tiny", None)
    # as in Stable Diffusion's VAE
    backbone = StableDiffusionBackbone(config={**tiny, "vae": {**tiny["vae"], "mid_block_add_attention": True}})
    parts = {
        "unet": backbone.unet.state_dict(),
        "vae": backbone.vae.state_dict(),
        "text_encoder": {"text_model.final_layer_norm.weight": torch.ones(3)},
    }
    original = to_original(parts)
    for theirs, ours in {
        "model.diffusion_model.time_embed.2.bias": parts["unet"]["time_embedding.linear_2.bias"],
        "model.diffusion_model.input_blocks.4.1.proj_in.weight": parts["unet"][
            "down_blocks.1.attentions.0.proj_in.weight"
        ],
        "model.diffusion_model.output_blocks.5.2.conv.weight": parts["unet"]["up_blocks.1.upsamplers.0.conv.weight"],
        "model.diffusion_model.out.2.weight": parts["unet"]["conv_out.weight"],
        "first_stage_model.encoder.norm_out.bias": parts["vae"]["encoder.conv_norm_out.bias"],
        "cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.ones(3),
    }.items():
        assert torch.equal(original[theirs], ours), theirs
    assert original["first_stage_model.encoder.mid.attn_1.q.weight"].shape[2:] == (1, 1)
    again = from_original({**original, "betas": torch.zeros(1000), "first_stage_model.decoder.x": torch.zeros(1)})
    assert again.keys() == parts.keys()
    for part, tensors in parts.items():
        assert again[part].keys() == tensors.keys()
        assert all(torch.equal(again[part][k], v) for k, v in tensors.items())
    with pytest.raises(WeightsError, match=r"no tensors under 'model\.diffusion_model\.'"):
        from_original({"x": torch.zeros(1)})
