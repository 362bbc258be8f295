"""Stable Diffusion 1.x, 2.x and the small bundled model as one backbone (methods.md 0)."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.backbones.attention import AttentionProcessor
from diffperc.backbones.base import Backbone
from diffperc.backbones.lora import LoraOptions, add_lora, is_adapter, save_lora
from diffperc.backbones.unet import Walk
from diffperc.backbones.vae import initialise_to_keep_image, latents_of, small_vae, vae_encoder
from diffperc.checks import check_shape
from diffperc.encoders import ClipImageEncoder, ExpressionEncoder, TextEncoder
from diffperc.encoders.clip_image import ImageEncoderSource, load_image_encoder
from diffperc.encoders.clip_text import describe_text_encoder, empty_text_encoder, load_text_encoder
from diffperc.errors import ConfigError, WeightsError, first_line
from diffperc.types import Conditioning, Features, FeatureSpec
from diffperc.weights.architecture import architecture
from diffperc.weights.assign import assign
from diffperc.weights.honoured import check_honoured
from diffperc.weights.locate import locate
from diffperc.weights.other_unet import other_unet
from diffperc.weights.parts import part_state

log = logging.getLogger(__name__)

# the first match wins; parameters that match none serve the features themselves
_PARTS = {
    "time_embedding": re.compile(r"^time_embedding\."),
    "output": re.compile(r"^(conv_norm_out|conv_out)\."),
    # useless over a single token, whose softmax is 1 (methods.md 10.8)
    "attention_scores": re.compile(r"\.transformer_blocks\.\d+\.(attn2\.to_[qk]|norm2)\."),
}


class StableDiffusionBackbone(Backbone):
    """A frozen VAE encoder and the UNet of Stable Diffusion, walked up to its last feature tap.

    >>> backbone = StableDiffusionBackbone(config="tiny")
    >>> latents = backbone.encode(image)                                    # (B, 4, H/8, W/8)
    >>> features = backbone.extract(latents, Conditioning(tokens, timestep), attention=[16, 32])
    >>> features.maps, features.attention[16]

    Args:
        pretrained: ``tiny``, which comes with the package, a hub id, a diffusers folder, one ``.ckpt``/``.safetensors`` in
            the original naming, or None for random weights.
        revision: commit of the hub repository.
        config: ``sd15``, ``sd21``, ``tiny``, a folder with configs, or the mapping of a checkpoint; None: as the source.
        image_encoder: ``{pretrained, revision}`` of the CLIP model whose vision tower belongs to these weights.
        unet: a UNet in place of the source's own, such as CleanDIFT's or one that was fine-tuned with diffusers: a file of
            its weights, a diffusers folder, or a hub id with ``@commit``.
        vae: ``taesd``, or a file or folder of its weights: TAESD then encodes images instead of the source's own VAE. It is
            28 times smaller, and its latents are nearly the same (docs/taesd.md).
        frozen: train no parameter of the UNet, for probing and as the control of fine-tuning; this is faster.
        lora: low-rank adapters, which are trained in place of the UNet's own weights; None: there are none.
        gradient_checkpointing: recompute activations in the backward pass, which saves memory and costs about one more
            forward pass.
        channels_last: memory layout of convolutions; faster on most hardware.
        empty: allocate no memory for the weights, because a checkpoint brings them.

    Raises:
        ConfigError: `image_encoder` has another key, or there is a `unet` without the model that it belongs to.
        WeightsError: weights were not found, are damaged, or have another architecture.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        revision: str | None = None,
        config: str | Mapping[str, Any] | None = None,
        image_encoder: ImageEncoderSource | None = None,
        unet: str | None = None,
        vae: str | None = None,
        frozen: bool = False,
        lora: LoraOptions | None = None,
        gradient_checkpointing: bool = False,
        channels_last: bool = False,
        empty: bool = False,
    ) -> None:
        super().__init__()
        self._empty = empty
        self._source = locate(pretrained, revision) if pretrained is not None and not empty else None
        self.architecture = architecture(config, self._source)
        check_honoured(self.architecture, getattr(self._source, "name", "backbone.config"))
        self._config = config if isinstance(config, str) else None
        for key in set(image_encoder or ()) - {"pretrained", "revision"}:
            raise ConfigError(f"backbone.image_encoder.{key}: nothing reads this key. Known: pretrained, revision")
        self._image_encoder_source = image_encoder
        self.frozen = frozen
        self.gradient_checkpointing = gradient_checkpointing
        self.channels_last = channels_last
        if unet is not None and pretrained is None and not empty:
            raise ConfigError(
                "backbone.unet: give the model whose VAE and text encoder belong to this UNet as backbone.pretrained."
            )
        self._build(unet, vae, lora)
        arch = self.architecture["unet"]
        channels = tuple(arch["block_out_channels"])
        factor = 2 ** (len(self.vae.config["block_out_channels"]) - 1)
        # the maps come from the up blocks, each as wide as the down block of its stride
        self.spec = FeatureSpec(channels, tuple(factor * 2**i for i in range(len(channels))))
        self.token_dim = int(arch["cross_attention_dim"])
        self.latent_channels = int(arch["in_channels"])
        self.time_dim = 4 * channels[0]
        self.multiple = self.spec.strides[-1]
        self._apply_memory_format()
        self.register_load_state_dict_post_hook(lambda module, _: module._apply_memory_format())

    def _build(self, unet: str | None, small: str | None, lora: LoraOptions | None) -> None:
        states = self._pretrained_states(unet, small)
        keeps_random = self.is_random and not self._empty
        # weights that assigned tensors replace need no memory
        where = getattr(self._source, "name", "backbone")
        with torch.device("cpu" if keeps_random else "meta"):
            try:
                self.unet = UNet2DConditionModel.from_config(self.architecture["unet"])
                self.vae = vae_encoder(self.architecture["vae"])
            except Exception as error:  # diffusers raises every kind for values of another type
                raise WeightsError(f"{where}: its config.json cannot be used ({first_line(error)}).") from error
        for part, state in states.items():
            assign(getattr(self, part), state, f"{unet if part == 'unet' and unet else where}, {part}")
        if keeps_random:
            log.warning(
                "backbone.pretrained is null: the UNet and the VAE have RANDOM weights, the control. "
                "For results set backbone.pretrained."
            )
        if keeps_random and small is None:
            initialise_to_keep_image(self.vae)
        self.unet.set_attn_processor(AttentionProcessor())
        if lora is not None:
            add_lora(self.unet, lora)
        self.has_lora = lora is not None
        self.vae.eval().requires_grad_(False)

    def _pretrained_states(self, unet: str | None, small: str | None) -> dict[str, dict[str, Tensor]]:
        """By part, the tensors of those parts that have pretrained weights."""
        states: dict[str, dict[str, Tensor]] = {}
        if self._empty:
            return states
        if small is not None:
            self.architecture["vae"], states["vae"] = small_vae(small, self.architecture["vae"], self.is_random)
        if unet is not None:
            self.architecture["unet"], states["unet"] = other_unet(unet, self.architecture)
        elif self._source is not None:
            states["unet"] = part_state(self._source, "unet", self.architecture)
        if small is None and self._source is not None:
            states["vae"] = part_state(self._source, "vae", self.architecture)
        return states

    def _apply_memory_format(self) -> None:
        if self.channels_last:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def is_random(self) -> bool:
        """Whether no source of pretrained weights was given."""
        return self._source is None

    def train(self, mode: bool = True) -> StableDiffusionBackbone:
        """The frozen VAE stays in evaluation mode."""
        super().train(mode)
        self.vae.eval()
        return self

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """See `Backbone.encode`. H and W must be multiples of 8."""
        check_shape("image", image, "B 3 H W")
        factor = self.spec.strides[0]
        if image.shape[-2] % factor or image.shape[-1] % factor:
            raise ValueError(f"image sides must be multiples of {factor}, got {tuple(image.shape[-2:])}")
        return latents_of(self.vae, image)

    @property
    def encoder(self) -> nn.Module:
        """See `Backbone.encoder`."""
        vae: nn.Module = self.vae
        return vae

    @property
    def attention_strides(self) -> tuple[int, ...]:
        """See `Backbone.attention_strides`: those of the blocks with attention, which in BK-SDM's tiny model are all."""
        kinds = self.architecture["unet"]["down_block_types"]
        return tuple(s for s, kind in zip(self.spec.strides, kinds, strict=True) if "CrossAttn" in kind)

    def extract(self, latents: Tensor, conditioning: Conditioning, attention: Collection[int] = ()) -> Features:
        """See `Backbone.extract`. Attention maps come from the down and up blocks of the strides asked for."""
        b = check_shape("latents", latents, f"B {self.latent_channels} h w")["B"]
        check_shape("Conditioning.tokens", conditioning.tokens, "B N D", B=b, D=self.token_dim)
        known = self.attention_strides
        if not set(attention) <= set(known):
            raise ValueError(f"attention strides must be of {known}, got {sorted(attention)}")
        factor = self.spec.strides[0]
        walk = Walk(
            self.unet,
            self._time(conditioning, latents.dtype),
            conditioning.tokens.to(latents.dtype),
            [s // factor for s in attention],
            self.gradient_checkpointing and self.training,
        )
        maps = walk.run(latents)
        attention_maps = {s * factor: m for s, m in walk.attention_maps().items()}
        return Features(tuple(maps), self.spec, attention_maps)

    def _time(self, conditioning: Conditioning, dtype: torch.dtype) -> Tensor:
        if conditioning.time_embedding is not None:
            check_shape("Conditioning.time_embedding", conditioning.time_embedding, "B T", T=self.time_dim)
            return conditioning.time_embedding.to(dtype)
        embedding: Tensor = self.unet.time_embedding(self.unet.time_proj(conditioning.timestep).to(dtype))
        return embedding

    def to_latents(self, features: Features) -> Tensor:
        """See `Backbone.to_latents`."""
        return self.unet.conv_out(F.silu(self.unet.conv_norm_out(features.maps[0])))

    @property
    def parts(self) -> Mapping[str, tuple[nn.Parameter, ...]]:
        """``features``, ``time_embedding``, ``attention_scores`` (useful with two or more tokens), ``output``.

        With adapters, those alone.
        """
        parts: dict[str, tuple[nn.Parameter, ...]] = dict.fromkeys(("features", *_PARTS), ())
        for name, parameter in self.unet.named_parameters():
            if is_adapter(name) or not self.has_lora:
                parts[_part_of(name)] += (parameter,)
        return parts

    def save_lora(self, folder: str | Path) -> Path:
        """Write the adapters alone, as a file that diffusers reads; see `lora.save_lora`.

        Raises:
            ValueError: there are none.
        """
        if not self.has_lora:
            raise ValueError("this backbone has no adapters; build it with lora={...}")
        return save_lora(self.unet, folder)

    def text_encoder(self) -> TextEncoder:
        """See `Backbone.text_encoder`."""
        if self._source is None and self._config is None:
            raise WeightsError("a backbone rebuilt from a checkpoint has no text encoder.")
        return load_text_encoder(self._source, self._config, self.architecture)

    def expression_encoder(self, length: int) -> ExpressionEncoder:
        """See `Backbone.expression_encoder`."""
        if self._empty:
            return ExpressionEncoder(empty_text_encoder(self.architecture), length)
        encoder = self.text_encoder()
        describe_text_encoder(encoder, self.architecture)
        return ExpressionEncoder(encoder, length)

    def load_image_encoder(self, encoder: ClipImageEncoder) -> None:
        """See `Backbone.load_image_encoder`."""
        if self._source is not None:
            load_image_encoder(encoder, self._source, self._image_encoder_source)


def _part_of(name: str) -> str:
    """The part that a parameter of the UNet belongs to, by its name."""
    for part, pattern in _PARTS.items():
        if pattern.search(name):
            return part
    return "features"
