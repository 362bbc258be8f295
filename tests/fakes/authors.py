"""Synthetic state dicts in the authors' layouts, of any width, made without their code or the reference outputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from diffperc.checkpoints.native import empty_task
from diffperc.checkpoints.official.layouts import LAYOUTS
from diffperc.checkpoints.official.tensors import authors_names
from diffperc.config.compose import composed
from diffperc.engine.build import info_without_data
from diffperc.weights.architecture import architecture

SMALL = {"unet": [32, 64, 64, 64], "vae": [32, 32, 32, 32]}
FULL = {"unet": [320, 640, 1280, 1280], "vae": [128, 256, 512, 512]}
# what a small model of each kind has instead of the published widths
NARROW = {
    "vpd_depth": ["head.neck_channels=32", "head.filters=8", "head.channels=16"],
    "vpd_segmentation": ["head.channels=16"],
    "vpd_referring": ["head.channels=16"],
    "meta_prompts_depth": ["strategy.prompts=6", "head.filters=8", "head.channels=16"],
    "meta_prompts_segmentation": ["strategy.prompts=6", "head.channels=16"],
    "ecodepth_depth": [
        *("head.neck_channels=32", "head.filters=8", "head.channels=16", "+strategy.vit.hidden_size=192"),
        *(
            "+strategy.vit.num_attention_heads=3",
            "+strategy.vit.num_hidden_layers=2",
            "+strategy.vit.intermediate_size=64",
        ),
        *("+strategy.vit.image_size=64", "+strategy.vit.patch_size=16"),
    ],
    "mmseg_vpd_depth": ["head.neck_channels=32", "head.filters=8", "head.channels=16"],
}


def random(name: str, tensor: Tensor) -> Tensor:
    """Small numbers, the same for a name at every call; gains and variances near 1."""
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    values = torch.randn(tensor.shape, generator=generator)
    if tensor.dtype == torch.int64:
        return torch.zeros_like(tensor)
    if tensor.dim() < 2 and name.endswith(("weight", "running_var")):
        return 1 + 0.1 * values.abs()
    return values * (max(1, tensor.numel()) / max(1, tensor.shape[0] if tensor.dim() else 1)) ** -0.5


def authors_state(
    kind: str,
    full: bool = False,
    steps: int = 3,
    width: int | None = None,
    fill: Callable[[str, Tensor], Tensor] = random,
    dataset: str | None = None,
) -> dict[str, Tensor]:
    """A state dict as the authors' code would save it.

    Args:
        kind: of `diffperc.checkpoints.identify`.
        full: at the widths of Stable Diffusion 1.5.
        steps: of Meta Prompts.
        width: of the tokens; default 768.
        fill: the values of a tensor, by its name in the authors' file.
        dataset: it would have been trained on; default the first of its kind.
    """
    # what a layout counts: steps, and layers of ECoDepth's classifier
    last = f"encoder.cide_module.vit_model.vit.encoder.layer.{11 if full else 1}.x"
    layout = LAYOUTS[kind]({f"{LAYOUTS[kind].root}t{steps}": torch.zeros(()), last: torch.zeros(())})
    refinement = [f"strategy.steps={steps}"] if kind.startswith("meta") else []
    experiment = layout.experiments[dataset or next(iter(layout.experiments))]
    cfg = composed("train", [f"experiment={experiment}", *refinement, *([] if full else NARROW[kind])])
    arch = architecture("sd15", None)
    widths = FULL if full else SMALL
    for part in ("unet", "vae"):
        arch[part]["block_out_channels"] = widths[part]
    arch["unet"]["cross_attention_dim"] = width or arch["unet"]["cross_attention_dim"]
    own = empty_task(cfg, arch, info_without_data(cfg)).state_dict()
    state = {}
    for ours, name in authors_names(own, layout, arch).items():
        shape = own[ours].shape
        if "encoder_vq" in name and "attn_1" in name and len(shape) == 2:
            shape = (*shape, 1, 1)
        state[name] = fill(name, torch.empty(shape, dtype=own[ours].dtype))
    if layout.aliases is not None:
        for step in range(2, steps + 1):
            for part in ("0.weight", "0.bias", "2.weight", "2.bias"):
                original = f"{layout.root}unet.unet.diffusion_model.out.{part}"
                state[f"{layout.root}cross_unet_conv{step}.{part}"] = state[original]
    for part, shape in (("weight", (4, 4, 1, 1)), ("bias", (4,))):
        state[f"{layout.root}encoder_vq.post_quant_conv.{part}"] = torch.zeros(shape)
    if kind.endswith("segmentation"):
        state["sd_model.betas"] = torch.zeros(1000)
    if kind == "mmseg_vpd_depth":
        # its UNet and VAE are whole, and its table has the mean as a further row
        state["backbone.encoder_vq.decoder.conv_in.weight"] = torch.zeros(4, 4, 3, 3)
        table = state["backbone.class_embeddings"]
        state["backbone.class_embeddings"] = torch.cat([table, table.mean(0, keepdim=True)])
    return state
