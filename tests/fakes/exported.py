"""Models of this package, written in the layouts of ECoDepth's first version and of mmsegmentation's VPD depth.

The names are spelled out here, from the authors' modules, and are not those that the importer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from diffperc.models import PerceptionModel
from diffperc.weights import ldm_names as ldm

_UNET = "unet.unet.diffusion_model."
_MMSEG = {
    "strategy.adapter.gamma": "backbone.gamma",
    "strategy.adapter.mlp.fc.0": "backbone.text_adapter.fc.0",
    "strategy.adapter.mlp.fc.2": "backbone.text_adapter.fc.2",
    "head.aggregation.fine.0": "decode_head.conv1.0",
    "head.aggregation.fine.1": "decode_head.conv1.1",
    "head.aggregation.fine.3": "decode_head.conv1.3",
    "head.aggregation.middle": "decode_head.conv2",
    "head.aggregation.fuse.0": "decode_head.conv_aggregation.0",
    "head.aggregation.fuse.1": "decode_head.conv_aggregation.1",
    **{f"head.decoder.0.{i}": f"decode_head.decoder.deconv_layers.{i}" for i in (0, 1, 3, 4, 6, 7)},
    "head.decoder.1.0": "decode_head.decoder.conv_layers.0",
    "head.decoder.1.1": "decode_head.decoder.conv_layers.1",
    "head.output.0": "decode_head.depth_pred_layer.0",
    "head.output.2": "decode_head.depth_pred_layer.2",
}
_ECODEPTH = {
    "strategy.adapter.gamma": "encoder.cide_module.gamma",
    "strategy.adapter.mlp.fc.0": "encoder.cide_module.embedding_adapter.fc.0",
    "strategy.adapter.mlp.fc.2": "encoder.cide_module.embedding_adapter.fc.2",
    "strategy.fc.0": "encoder.cide_module.fc.0",
    "strategy.fc.2": "encoder.cide_module.fc.2",
    "strategy.embeddings": "encoder.cide_module.embeddings",
    "head.aggregation.fine.0": "encoder.layer1.0",
    "head.aggregation.fine.1": "encoder.layer1.1",
    "head.aggregation.fine.3": "encoder.layer1.3",
    "head.aggregation.middle": "encoder.layer2.0",
    "head.aggregation.fuse.0": "encoder.out_layer.0",
    "head.aggregation.fuse.1": "encoder.out_layer.1",
    **{f"head.decoder.0.{i}": f"decoder.deconv_layers.{i}" for i in (0, 1, 3, 4, 6, 7)},
    "head.decoder.1.0": "decoder.conv_layers.0",
    "head.decoder.1.1": "decoder.conv_layers.1",
    "head.output.0": "last_layer_depth.0",
    "head.output.2": "last_layer_depth.2",
}


def as_mmsegmentation(model: PerceptionModel) -> dict[str, Tensor]:
    """VPD's depth model as mmsegmentation's `DepthEstimator` saves it: UNet and VAE whole, the table with its mean."""
    state = {**_renamed(model, _MMSEG), **_stable_diffusion(model, "backbone.", with_output=True)}
    table: Tensor = model.strategy.table.vectors  # type: ignore[union-attr, assignment]
    state["backbone.class_embeddings"] = torch.cat([table, table.mean(0, keepdim=True)])
    state["backbone.encoder_vq.decoder.conv_in.weight"] = torch.zeros(4, 4, 3, 3)
    return state


def as_ecodepth(model: PerceptionModel, folder: Path) -> dict[str, Tensor]:
    """ECoDepth's first version: UNet without its output, the classifier with the names that transformers writes.

    Args:
        model: with the strategy ECoDepth.
        folder: an empty one, in which transformers writes the classifier.
    """
    model.strategy.classifier.model.save_pretrained(folder)  # type: ignore[union-attr, operator]
    vit = load_file(folder / "model.safetensors")
    return {
        **_renamed(model, _ECODEPTH),
        **_stable_diffusion(model, "encoder.", with_output=False),
        **{f"encoder.cide_module.vit_model.{name}": tensor for name, tensor in vit.items()},
    }


def _renamed(model: PerceptionModel, names: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of the named modules, or the named tensors."""
    state = {}
    for name, tensor in model.state_dict().items():
        if name in names:
            state[names[name]] = tensor
        module, _, last = name.rpartition(".")
        if module in names:
            state[f"{names[module]}.{last}"] = tensor
    return state


def _stable_diffusion(model: PerceptionModel, root: str, with_output: bool) -> dict[str, Tensor]:
    backbone = model.backbone
    unet = ldm.unet_to_ldm(backbone.unet.state_dict(), backbone.architecture["unet"])  # type: ignore[union-attr, operator]
    vae = ldm.vae_to_ldm(backbone.vae.state_dict(), backbone.architecture["vae"])  # type: ignore[union-attr, operator]
    state = {f"{root}{_UNET}{name}": t for name, t in unet.items() if with_output or not name.startswith("out.")}
    state |= {f"{root}encoder_vq.{name}": tensor for name, tensor in vae.items()}
    state |= {f"{root}encoder_vq.post_quant_conv.{n}": torch.zeros(4, 4, 1, 1)[..., 0, 0] for n in ("weight", "bias")}
    return state
