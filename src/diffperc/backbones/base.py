"""What strategies may ask of a backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from diffperc.encoders import ExpressionEncoder, TextEncoder
from diffperc.encoders.clip_image import ClipImageEncoder
from diffperc.types import Conditioning, Features, FeatureSpec


class Backbone(nn.Module, ABC):
    """A frozen image encoder and a conditioned feature extractor.

    Attributes:
        spec: channels and strides of the maps `extract` returns.
        token_dim: D, width of the conditioning tokens.
        time_dim: T, width of a time embedding.
        latent_channels: of the latents.
        multiple: image sides must be multiples of this many pixels.
        frozen: nothing of it is trained, whatever a strategy names.
        architecture: all that is needed to build the backbone again without any file.
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
        """Image (B, 3, H, W) in [0, 1] to latents (B, 4, H/8, W/8): posterior mean, not scaled, without gradient."""

    @abstractmethod
    def extract(self, latents: Tensor, conditioning: Conditioning, attention: Collection[int] = ()) -> Features:
        """One pass of the UNet.

        Args:
            latents: (B, 4, h, w).
            conditioning: tokens and time, of the same batch.
            attention: strides in image pixels at which cross-attention maps are wanted.
        """

    @abstractmethod
    def to_latents(self, features: Features) -> Tensor:
        """The UNet's own output layers on the finest map: (B, C, h, w) to (B, 4, h, w), for feedback."""

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, tuple[nn.Parameter, ...]]:
        """The trainable parameters by what they serve; a strategy names the parts it uses."""

    @abstractmethod
    def text_encoder(self) -> TextEncoder:
        """The text encoder that belongs to these weights. Loaded anew at every call; not part of the module."""

    @abstractmethod
    def expression_encoder(self, length: int) -> ExpressionEncoder:
        """The text encoder as a part of a model that reads sentences; empty where a checkpoint brings the weights."""

    @abstractmethod
    def load_image_encoder(self, encoder: ClipImageEncoder) -> None:
        """Put the weights of the CLIP image encoder that belongs to this backbone into `encoder`.

        A backbone with random weights leaves it random.
        """

    def train_only(self, parts: Collection[str]) -> None:
        """Let the named parts be trained, unless the backbone is `frozen`, and freeze the rest.

        Raises:
            ValueError: a name is not among `parts`.
        """
        unknown = set(parts) - set(self.parts)
        if unknown:
            raise ValueError(f"unknown backbone parts {sorted(unknown)}; known: {sorted(self.parts)}")
        self.requires_grad_(False)
        for part in () if self.frozen else parts:
            for parameter in self.parts[part]:
                parameter.requires_grad_(True)
