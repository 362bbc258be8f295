"""Latents of images that are seen again: in the next validation or epoch, by the next checkpoint, or by another run."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from diffperc.errors import ConfigError

log = logging.getLogger(__name__)
_SECONDS = 60


class LatentCache(ABC):
    """Keeps latents by the pixels that the encoder saw and by the encoder's weights; what it gives is exact.

    Windows, scales, mirror images and augmented ones are images of their own. An image is encoded in the batch in which
    it is first seen.
    """

    def __deepcopy__(self, memo: Any) -> LatentCache:
        """Itself: copies of a network share it."""
        return self

    @torch.compiler.disable
    def __call__(self, encoder: bytes, image: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """Latents of (B, 3, H, W), computed only if one of them is not kept.

        Args:
            encoder: see `fingerprint`.
            image: as `encode` takes it.
            encode: see `Backbone.encode`.
        """
        keys = [_key(encoder, one) for one in image]
        found = [self._find(key) for key in keys]
        kept = [one for one in found if one is not None]
        if len(kept) == len(keys):
            return torch.stack(kept).to(image.device)
        latents = encode(image)
        self._keep(
            [(key, one.detach().cpu()) for key, one, was in zip(keys, latents, found, strict=True) if was is None]
        )
        return latents

    @abstractmethod
    def _find(self, key: bytes) -> Tensor | None:
        """The latents (C, h, w) of an image, if they are kept."""

    @abstractmethod
    def _keep(self, latents: list[tuple[bytes, Tensor]]) -> None:
        """Keep latents (C, h, w) of images that were not found, as far as there is room."""


class LatentsInMemory(LatentCache):
    """Keeps latents as long as the process lives.

    Args:
        limit: bytes; further latents are computed at every call, and that is said once.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._kept: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        """The number of images."""
        return len(self._kept)

    def _find(self, key: bytes) -> Tensor | None:
        return self._kept.get(key)

    def _keep(self, latents: list[tuple[bytes, Tensor]]) -> None:
        for key, one in latents:
            if self.size + one.nbytes <= self.limit:
                self._kept[key] = one.clone()
                self.size += one.nbytes
            elif self.limit:
                log.info(
                    "latents of %d images are kept in %.1f GB of memory (keep_latents); the others are encoded every time.",
                    len(self),
                    self.size / 1e9,
                )
                self.limit = 0


class LatentsOnDisk(LatentCache):
    """Keeps latents in a file, mapped into memory, which processes and runs share and of which a kill damages nothing.

    Args:
        folder: of ``latents.sqlite``; made if it is missing.
        images: that are expected, to say what they will take.
        limit: bytes of the file; further latents are computed at every call, and that is said once.

    Raises:
        ConfigError: the folder cannot be written, or holds a file of something else.
    """

    def __init__(self, folder: str | Path, images: int, limit: int) -> None:
        self.path, self.images, self.limit = Path(folder).expanduser() / "latents.sqlite", images, limit
        self._said = self._full = self._broken = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # every statement is a transaction of its own
            self._file = sqlite3.connect(self.path, timeout=_SECONDS, isolation_level=None)
            self._file.execute(f"PRAGMA mmap_size={limit}")
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute("CREATE TABLE IF NOT EXISTS latents (image BLOB PRIMARY KEY, digest BLOB, data BLOB)")
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"{self.path}: latents cannot be stored there ({error}); give another views.folder, or delete the file."
            ) from error

    def __len__(self) -> int:
        """The number of images."""
        return int(self._file.execute("SELECT count(*) FROM latents").fetchone()[0])

    def _find(self, key: bytes) -> Tensor | None:
        if self._broken:
            return None
        try:
            row = self._file.execute("SELECT digest, data FROM latents WHERE image = ?", (key,)).fetchone()
            if row is not None and _digest(row[1]) != row[0]:
                raise sqlite3.DatabaseError("a row differs from its checksum")
        except sqlite3.Error as error:
            self._full = self._broken = True
            log.warning("note: %s: cannot be read (%s) and is not used; delete it when nothing runs.", self.path, error)
            return None
        return None if row is None else load(row[1])["latents"]

    def _keep(self, latents: list[tuple[bytes, Tensor]]) -> None:
        if self._full:
            return
        if not self._said:
            self._said = True
            gigabytes = self.images * latents[0][1].nbytes / 1e9
            log.info("latents of %d views will take up to %.1f GB in %s", self.images, gigabytes, self.path)
        contents = [save({"latents": one.contiguous()}) for _, one in latents]
        rows = [(key, _digest(data), data) for (key, _), data in zip(latents, contents, strict=True)]
        try:
            if self._bytes_of_file() + sum(map(len, contents)) > self.limit:
                raise sqlite3.OperationalError(f"views.limit, {self.limit / 1e9:g} GB, is reached")
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany("INSERT OR IGNORE INTO latents VALUES (?, ?, ?)", rows)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            self._full = True
            log.warning(
                "note: %s: no more latents are stored (%s); other images are encoded every time.", self.path, error
            )

    def _bytes_of_file(self) -> int:
        return int(self._file.execute("PRAGMA page_count").fetchone()[0]) * int(
            self._file.execute("PRAGMA page_size").fetchone()[0]
        )


def _key(encoder: bytes, image: Tensor) -> bytes:
    """A hash of what determines the latents of (3, H, W)."""
    # a device, a version of torch, and autocast change what an encoder computes from the same pixels
    kind = image.device.type
    autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    around = f"{tuple(image.shape)} {image.dtype} {autocast} {kind} {torch.__version__}"
    return _digest(encoder, around.encode(), _bytes(image))


def fingerprint(encoder: nn.Module) -> bytes:
    """A hash of a module's weights, and of its configuration if it has one."""
    digest = _digest(str(sorted(getattr(encoder, "config", {}).items())).encode())
    for name, tensor in encoder.state_dict().items():
        digest = _digest(digest, f"{name} {tensor.dtype}".encode(), _bytes(tensor))
    return digest


def _digest(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
