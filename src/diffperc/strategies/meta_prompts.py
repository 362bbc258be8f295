"""Meta Prompts: learned prompts, recurrent refinement, prompt readout (Wan et al., arXiv 2312.14733; methods.md 2).

For each step prompts (N, D), their adapter and a time embedding:

    features_i = UNet(latents_i, tokens_i = mlp_i(prompts_i), time embedding t_i)
    latents_{i+1} = the UNet's own output layers on the finest map of features_i

The last step's maps are re-arranged by its tokens, map_n = <map, token_n>: fused into one map first (depth, methods.md
2.1; prompts and adapter of their own for each step), or level by level (segmentation, methods.md 2.2; one set of prompts
for all steps, no adapter). For referring segmentation, which the paper does not treat, the expression's tokens stand
behind the prompts and are read out with them.

Differences from the released code:
- A batch of as many images as prompts works (released: another shape, methods.md 2.1).
- The learned vectors t_i stand in for the output of the time embedding; the layers they replace are frozen, not deleted.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.layers.blocks import TokenMLP
from diffperc.strategies.base import Strategy, expression_length, with_expression
from diffperc.strategies.parts.readout import FusedReadout, PyramidReadout
from diffperc.types import Batch, Branch, Conditioning, TextSpec


class MetaPrompts(Strategy):
    """Learned prompts, read out by the same prompts.

    Args:
        backbone: for its widths.
        text: whose expressions are appended.
        prompts: N, number of learned prompts, and of channels the head gets in each map.
        steps: passes of the UNet, each on what the one before predicts.
        shared: one set of prompts for all steps, instead of one a step.
        adapter: an MLP between prompts and tokens, one a step.
        readout: ``fused``: one map at the finest stride; ``pyramid``: a map a level, each at twice its size.
        supervise_steps: weight of the loss on the readout of every step but the last; 0, as published, reads out the
            last alone.
        init_std: of the fused readout's decoders, 0.001 as published; None: torch's own.
    """

    def __init__(
        self,
        backbone: Backbone,
        text: TextSpec,
        prompts: int = 50,
        steps: int = 3,
        shared: bool = False,
        adapter: bool = True,
        readout: Literal["fused", "pyramid"] = "fused",
        supervise_steps: float = 0.0,
        init_std: float | None = 0.001,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"strategy.steps must be at least 1, got {steps}")
        if readout not in ("fused", "pyramid"):
            raise ValueError(f"strategy.readout must be 'fused' or 'pyramid', got '{readout}'")
        width = backbone.token_dim
        self.steps, self.supervise_steps = steps, supervise_steps
        self.prompts = nn.ParameterList(torch.randn(prompts, width) for _ in range(1 if shared else steps))
        self.times = nn.ParameterList(torch.randn(1, backbone.time_dim) for _ in range(steps))
        self.adapters = nn.ModuleList(TokenMLP(width, width) for _ in range(steps if adapter else 0))
        outputs = prompts + expression_length(text)
        self.readout: FusedReadout | PyramidReadout
        if readout == "fused":
            self.readout = FusedReadout(backbone.spec, width, outputs, init_std)
        else:
            self.readout = PyramidReadout(backbone.spec, width, outputs)
        self.out_spec = self.readout.out_spec

    @property
    def trains(self) -> tuple[str, ...]:
        """The output layers only where they feed a further step."""
        return ("features", "attention_scores", *(("output",) if self.steps > 1 else ()))

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """`steps` passes; see `Strategy.forward`."""
        branches: list[Branch] = []
        for step in range(self.steps):
            tokens = with_expression(self._tokens(step).expand(len(batch), -1, -1), batch)
            time = self.times[step].expand(len(batch), -1)
            features = backbone.extract(latents, Conditioning(tokens, time_embedding=time))
            if step == self.steps - 1:
                branches.insert(0, Branch(self.readout(features, tokens), "meta_prompts"))
            else:
                latents = backbone.to_latents(features)
                if self.training and self.supervise_steps:
                    branches.append(Branch(self.readout(features, tokens), f"step{step + 1}", self.supervise_steps))
        return branches

    def _tokens(self, step: int) -> Tensor:
        prompts = self.prompts[min(step, len(self.prompts) - 1)]
        return self.adapters[step](prompts) if self.adapters else prompts
