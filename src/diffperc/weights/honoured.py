"""Whether the backbone computes what a model's configs say: every field is honoured, without effect, or refused."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel

from diffperc.errors import WeightsError

_UNET = "UNet2DConditionModel"
_VAES = ("AutoencoderKL", "AutoencoderTiny")
# fields that the modules are built by, or that the backbone reads
_HONOURED = {
    "unet": {
        *("flip_sin_to_cos", "freq_shift", "block_out_channels", "layers_per_block", "downsample_padding", "dropout"),
        *(
            "mid_block_scale_factor",
            "act_fn",
            "norm_num_groups",
            "norm_eps",
            "cross_attention_dim",
            "attention_head_dim",
        ),
        *("transformer_layers_per_block", "use_linear_projection", "only_cross_attention", "conv_in_kernel"),
        *("conv_out_kernel", "resnet_time_scale_shift", "timestep_post_act", "cross_attention_norm"),
    },
    "vae": {"in_channels", "down_block_types", "block_out_channels", "layers_per_block", "act_fn", "norm_num_groups"}
    | {"mid_block_add_attention", "latent_channels"},
}
# fields of what is not run, of precision alone, or of the pipeline around the model
_WITHOUT_EFFECT = {
    "unet": {"sample_size", "upcast_attention", "addition_embed_type_num_heads"},
    "vae": {"out_channels", "up_block_types", "sample_size", "scaling_factor", "force_upcast"},
}
# block types that the walk knows
_BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}
# what a field says of the model
_FAMILIES = {
    ("addition_embed_type", "text_time"): "a UNet of Stable Diffusion XL",
    ("addition_embed_type", "image"): "a UNet of Kandinsky",
    ("encoder_hid_dim_type", "image_proj"): "a UNet of Kandinsky",
    ("encoder_hid_dim_type", "text_proj"): "a UNet of DeepFloyd IF",
    ("in_channels", 9): "an inpainting model, whose input is image, mask and masked image",
    (
        "in_channels",
        8,
    ): "a model that edits images, such as InstructPix2Pix, whose input is two images (a Marigold model is "
    "one whose model_index.json names a Marigold pipeline)",
    ("in_channels", 7): "an upscaler, whose input is an image beside the latents",
    ("class_embed_type", "projection"): "an unCLIP model, which also reads an image embedding",
}
_BY_FIELD = {
    "num_class_embeds": "an upscaler, which also reads the level of noise",
    "time_cond_proj_dim": "a latent consistency model (LCM), which also reads the guidance scale",
    "shift_factor": "the VAE of another family, such as Flux or Stable Diffusion 3",
}
_REMEDY = "take Stable Diffusion 1.x or 2.x, such as stable-diffusion-v1-5/stable-diffusion-v1-5"


def check_honoured(arch: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Check that the backbone computes what the configs of UNet and VAE say.

    Args:
        arch: the configs by part.
        where: their source, for messages.

    Raises:
        WeightsError: a field has a value that is not honoured; the message names it, and the kind of model if it is known.
    """
    unet, vae = arch["unet"], arch["vae"]
    _check_class(unet, (_UNET,), f"{where}, unet")
    _check_class(vae, _VAES, f"{where}, vae")
    latents = vae.get("latent_channels", 4)
    for name in ("in_channels", "out_channels"):
        if unet.get(name, 4) != latents:
            _refuse(f"{where}, unet", name, unet[name], f" where the VAE's latents have {latents} channels")
    for key, known in _BLOCKS.items():
        for kind in unet.get(key, ()):
            if kind not in known:
                _refuse(f"{where}, unet", key, kind, "")
    _check_fields(unet, UNet2DConditionModel, "unet", where, ("in_channels", "out_channels", *_BLOCKS))
    if vae.get("_class_name") != "AutoencoderTiny":
        _check_fields(vae, AutoencoderKL, "vae", where, ())


def _check_class(config: Mapping[str, Any], known: Collection[str], where: str) -> None:
    name = config.get("_class_name")
    if name is not None and name not in known:
        raise WeightsError(f"{where}: its config.json is of {name}, not of {' or '.join(known)}; {_REMEDY}.")


def _check_fields(config: Mapping[str, Any], kind: Any, part: str, where: str, checked: Collection[str]) -> None:
    """Refuse what is neither honoured nor at its default."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(kind.__init__).parameters.items()}
    free = _HONOURED[part] | _WITHOUT_EFFECT[part] | set(checked)
    conditioned = config.get("addition_embed_type") is not None
    for name, value in config.items():
        if name.startswith("_") or name in free or value is None:
            continue
        # numbers that belong to `addition_embed_type`
        if name in ("addition_time_embed_dim", "projection_class_embeddings_input_dim") and not conditioned:
            continue
        if name not in defaults or value != defaults[name]:
            _refuse(f"{where}, {part}", name, value, "")


def _refuse(where: str, name: str, value: Any, addition: str) -> None:
    family = _FAMILIES.get((name, value if isinstance(value, str | int) else None)) or _BY_FIELD.get(name)
    what = f"this is {family}" if family else "the backbone here does not compute it"
    raise WeightsError(
        f"{where}: its config.json has {name}={value!r}{addition}; {what}. {_REMEDY[0].upper()}{_REMEDY[1:]}."
    )
