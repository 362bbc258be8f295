"""Latents of images that are seen again: in the next validation, or by the next checkpoint that is scored."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


class LatentCache:
    """Keeps latents in memory, by the pixels that the encoder saw and by the encoder's weights; what it gives is exact.

    Windows, scales and mirror images are images of their own. An image is encoded in the batch in which it is first seen.

    Args:
        limit: bytes; further latents are computed at every call, and that is said once.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._kept: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        """The number of images."""
        return len(self._kept)

    def __call__(self, encoder: bytes, image: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """Latents of (B, 3, H, W), computed only if one of them is not kept.

        Args:
            encoder: see `fingerprint`.
            image: as `encode` takes it.
            encode: see `Backbone.encode`.
        """
        keys = [self._key(encoder, one) for one in image]
        found = [self._kept.get(key) for key in keys]
        kept = [one for one in found if one is not None]
        if len(kept) == len(keys):
            return torch.stack(kept).to(image.device)
        latents = encode(image)
        for key, one in zip(keys, latents, strict=True):
            self._keep(key, one)
        return latents

    def _key(self, encoder: bytes, image: Tensor) -> bytes:
        # autocast changes what an encoder computes from the same pixels
        kind = image.device.type
        autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        around = f"{tuple(image.shape)} {image.dtype} {autocast}"
        digest = hashlib.blake2b(encoder + around.encode(), digest_size=16)
        digest.update(_bytes(image))
        return digest.digest()

    def _keep(self, key: bytes, latents: Tensor) -> None:
        if key in self._kept:
            return
        if self.size + latents.nbytes > self.limit:
            if self.limit:
                log.info(
                    "latents of %d images are kept in %.1f GB of memory (keep_latents); the others are encoded every time.",
                    len(self),
                    self.size / 1e9,
                )
            self.limit = 0
            return
        self._kept[key] = latents.detach().cpu().clone()
        self.size += latents.nbytes


def fingerprint(encoder: nn.Module) -> bytes:
    """A hash of a module's weights."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in encoder.state_dict().items():
        digest.update(f"{name} {tensor.dtype}".encode())
        digest.update(_bytes(tensor))
    return digest.digest()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
