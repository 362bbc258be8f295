"""VPD: visual perception with a pretrained diffusion model (Zhao et al., ICCV 2023; methods.md 1).

Depth: one text vector an image, that of its scene label averaged over 80 templates, through a residual adapter with
learned gain, ``c + gamma * mlp(c)``; timestep 1; one pass.

Differences from the released code:
- The cross-attention over a single token is computed as the constant it is, and the query and key weights that it
  cannot train are frozen (in the released code they only decay).
- An unknown scene gets the mean of the table, where the released code stops.
- Any image size, where the released code takes 480, 352 or 512 pixels square.
"""

from __future__ import annotations

from torch import Tensor

from diffperc.backbones import Backbone
from diffperc.nn.blocks import ResidualTokenMLP
from diffperc.strategies.base import Strategy, constant_timestep
from diffperc.strategies.scene_table import SceneTable
from diffperc.text import imagenet_templates
from diffperc.types import Batch, Branch, Conditioning, DatasetInfo


class VPD(Strategy):
    """Scene text and adapter.

    Args:
        backbone: for its widths.
        info: whose scene labels name the table's rows.
        timestep: diffusion timestep the UNet is told.
        class_embeddings: a file with the table (scenes, D); None computes it with the text encoder.
    """

    def __init__(
        self, backbone: Backbone, info: DatasetInfo, timestep: int = 1, class_embeddings: str | None = None
    ) -> None:
        super().__init__()
        self.out_spec = backbone.spec
        self.timestep = timestep
        self.class_embeddings = class_embeddings
        self.table = SceneTable(info, backbone.token_dim)
        self.adapter = ResidualTokenMLP(backbone.token_dim)

    @property
    def trains(self) -> tuple[str, ...]:
        """Without the attention scores, which a single token leaves without effect."""
        return ("features", "time_embedding")

    def initialise(self, backbone: Backbone) -> None:
        """Fill the table of text vectors."""
        self.table.fill(backbone, imagenet_templates(), self.class_embeddings)

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """One pass; see `Strategy.forward`."""
        tokens = self.adapter(self.table(batch.scene, latents.shape[0]))
        conditioning = Conditioning(tokens, constant_timestep(latents, self.timestep))
        return [Branch(backbone.extract(latents, conditioning), "text")]
