"""The interface of a backbone, which is all that strategies use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from diffperc.encoders import ClipImageEncoder, ExpressionEncoder, TextEncoder
from diffperc.types import Conditioning, Features, FeatureSpec


class Backbone(nn.Module, ABC):
    """A frozen image encoder and a conditioned feature extractor.

    Attributes:
        spec: channels and strides of the maps `extract` returns.
        token_dim: D, width of the conditioning tokens.
        time_dim: T, width of a time embedding.
        latent_channels: number of channels of the latents.
        multiple: image sides must be multiples of this many pixels.
        frozen: whether all its parameters are frozen, whatever parts a strategy names.
        architecture: configs by part, from which the backbone can be built again without any file.
    """

    spec: FeatureSpec
    token_dim: int
    time_dim: int
    latent_channels: int
    multiple: int
    frozen: bool = False
    architecture: dict[str, dict[str, Any]]

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] to latents (B, 4, H/8, W/8): posterior mean, not scaled, without gradient.

        Raises:
            ValueError: the shape is wrong, or H or W is not a multiple of 8.
        """

    @property
    def encoder(self) -> nn.Module:
        """The part whose weights decide what `encode` gives; by default the whole backbone."""
        return self

    @abstractmethod
    def extract(self, latents: Tensor, conditioning: Conditioning, attention: Collection[int] = ()) -> Features:
        """One pass of the UNet.

        Args:
            latents: (B, 4, h, w).
            conditioning: tokens (B, N, D) and time of the same batch.
            attention: strides in image pixels at which cross-attention maps are wanted.

        Returns:
            Maps (B, Ci, H/si, W/si) for the channels and strides of `spec`, finest first, and by stride the attention
            maps (B, N, H/s, W/s) that were asked for.

        Raises:
            ValueError: a shape is wrong, or there is no attention at one of the strides.
        """

    @property
    def attention_strides(self) -> tuple[int, ...]:
        """Strides in image pixels at which `extract` has cross-attention maps; by default all but the coarsest."""
        return self.spec.strides[:-1]

    @abstractmethod
    def to_latents(self, features: Features) -> Tensor:
        """Apply the UNet's own output layers to the finest map, for feedback: (B, C, h, w) to (B, 4, h, w)."""

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, tuple[nn.Parameter, ...]]:
        """The trainable parameters, grouped by what they serve; a strategy names the parts that it uses."""

    @abstractmethod
    def text_encoder(self) -> TextEncoder:
        """The text encoder that belongs to these weights. It is loaded at every call and not part of the module."""

    @abstractmethod
    def expression_encoder(self, length: int) -> ExpressionEncoder:
        """The text encoder as a part of a model that reads sentences; empty where a checkpoint brings the weights.

        Args:
            length: number of tokens that each sentence is padded or cut to.
        """

    @abstractmethod
    def load_image_encoder(self, encoder: ClipImageEncoder) -> None:
        """Put the weights of the CLIP image encoder that belongs to this backbone into `encoder`.

        A backbone with random weights leaves it random.
        """

    def train_only(self, parts: Collection[str]) -> None:
        """Make the named parts trainable, unless the backbone is `frozen`, and freeze the rest.

        Raises:
            ValueError: a name is not among `parts`.
        """
        unknown = set(parts) - set(self.parts)
        if unknown:
            raise ValueError(f"unknown backbone parts {sorted(unknown)}; known: {sorted(self.parts)}")
        self.requires_grad_(False)
        if self.frozen:
            return
        for part in parts:
            nn.ParameterList(self.parts[part]).requires_grad_(True)
