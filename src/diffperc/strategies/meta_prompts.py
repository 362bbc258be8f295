"""Meta Prompts: learned prompts, recurrent refinement, prompt readout (Wan et al., arXiv 2312.14733; methods.md 2).

For each step its own prompts (N, D), adapter and time embedding:

    features_i = UNet(latents_i, tokens_i = mlp_i(prompts_i), time embedding t_i)
    latents_{i+1} = the UNet's own output layers on the finest map of features_i

The last step's maps are brought to the finest size, fused, and re-arranged by its tokens: map_n = <fused, token_n>.

Differences from the released code:
- A batch of as many images as prompts works (released: another shape, methods.md 2.1).
- The learned vectors t_i stand in for the output of the time embedding; the layers they replace are frozen, not deleted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.nn.blocks import TokenMLP
from diffperc.strategies.base import Strategy
from diffperc.strategies.readout import FusedReadout
from diffperc.types import Batch, Branch, Conditioning, DatasetInfo, Features, FeatureSpec


class MetaPrompts(Strategy):
    """Learned prompts, read out by the same prompts.

    Args:
        backbone: for its widths.
        info: not needed here.
        prompts: N, number of learned prompts, and of channels the head gets.
        steps: passes of the UNet, each on what the one before predicts.
        init_std: of the readout's decoders, 0.001 as published; None: torch's own.
    """

    def __init__(
        self,
        backbone: Backbone,
        info: DatasetInfo,
        prompts: int = 50,
        steps: int = 3,
        init_std: float | None = 0.001,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"strategy.steps must be at least 1, got {steps}")
        width = backbone.token_dim
        self.prompts = nn.ParameterList(torch.randn(prompts, width) for _ in range(steps))
        self.times = nn.ParameterList(torch.randn(1, backbone.time_dim) for _ in range(steps))
        self.adapters = nn.ModuleList(TokenMLP(width, width) for _ in range(steps))
        self.readout = FusedReadout(backbone.spec, width, init_std)
        self.out_spec = FeatureSpec((prompts,), (backbone.spec.strides[0],))

    @property
    def trains(self) -> tuple[str, ...]:
        """The output layers only where they feed a further step."""
        return ("features", "attention_scores", *(("output",) if len(self.prompts) > 1 else ()))

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """`steps` passes; see `Strategy.forward`."""
        features: Features | None = None
        b = latents.shape[0]
        for prompts, time, adapter in zip(self.prompts, self.times, self.adapters, strict=True):
            if features is not None:
                latents = backbone.to_latents(features)
            tokens = adapter(prompts).expand(b, -1, -1)
            features = backbone.extract(latents, Conditioning(tokens, time_embedding=time.expand(b, -1)))
        assert features is not None
        return [Branch(Features((self.readout(features, tokens),), self.out_spec), "meta_prompts")]
