"""Meta Prompts: learned prompts, recurrent refinement, prompt readout (Wan et al., arXiv 2312.14733; methods.md 2).

Step i has prompts (N, D), an adapter and a time embedding:

    features_i = UNet(latents_i, tokens_i = mlp_i(prompts_i), time embedding t_i)
    latents_{i+1} = the UNet's own output layers on the finest map of features_i

The last step's maps are projected on its tokens, map_n = <map, token_n>: after they are fused into one map (depth,
methods.md 2.1; separate prompts and adapters per step), or level by level (segmentation, methods.md 2.2; one set of
prompts for all steps, no adapter). In referring segmentation, which the paper does not treat, the expression's tokens are
appended to the prompts and read out with them.

Differences from the released code:
- A batch with as many images as prompts works (in the released code its shape is misread, methods.md 2.1).
- The learned vectors t_i replace the output of the time embedding; the layers they replace are frozen, not deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.layers.blocks import TokenMLP
from diffperc.ranges import Count, NotNegative, OnlyWith, Weight
from diffperc.strategies.base import Strategy, expression_length, with_expression
from diffperc.strategies.parts.readout import FusedReadout, PyramidReadout
from diffperc.types import Batch, Branch, Conditioning, Features, TextSpec


class MetaPrompts(Strategy):
    """Learned prompts, read out by the same prompts.

    Args:
        backbone: gives the widths.
        text: gives the length of expressions.
        prompts: N, number of learned prompts, and of the channels that the head gets in each map.
        steps: passes of the UNet, each on the latents that the previous one predicts.
        shared: one set of prompts for all steps, instead of one per step.
        adapter: an MLP between prompts and tokens, one per step.
        readout: ``fused``: one map at the finest stride; ``pyramid``: one map per level, at twice the level's size.
        supervise_steps: weight of the loss on the readout of every step but the last; 0, as published, reads out the
            last step alone.
        init_std: standard deviation of the initial weights in the fused readout's decoders, 0.001 as published; None
            keeps torch's own initialisation.

    Raises:
        ValueError: `steps` is less than 1, or `readout` is unknown.
    """

    def __init__(
        self,
        backbone: Backbone,
        text: TextSpec,
        prompts: Count = 50,
        steps: Count = 3,
        shared: Annotated[bool, OnlyWith("steps", least=2)] = False,
        adapter: bool = True,
        readout: Literal["fused", "pyramid"] = "fused",
        supervise_steps: Annotated[Weight, OnlyWith("steps", least=2)] = 0.0,
        init_std: Annotated[NotNegative | None, OnlyWith("readout", equal="fused")] = 0.001,
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
        self.adapters = nn.ModuleList()
        if adapter:
            self.adapters.extend(TokenMLP(width, width) for _ in range(steps))
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
        if self.steps == 1:
            return ("features", "attention_scores")
        return ("features", "attention_scores", "output")

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """`steps` passes; see `Strategy.forward`."""
        intermediate: list[Branch] = []
        for step in range(self.steps - 1):
            features, tokens = self._extract(backbone, latents, batch, step)
            latents = backbone.to_latents(features)
            if self.training and self.supervise_steps:
                intermediate.append(Branch(self.readout(features, tokens), f"step{step + 1}", self.supervise_steps))
        features, tokens = self._extract(backbone, latents, batch, self.steps - 1)
        return [Branch(self.readout(features, tokens), "meta_prompts"), *intermediate]

    def passes(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """The readout after each step; without `supervise_steps` it was trained for the last alone."""
        branches = []
        for step in range(self.steps):
            features, tokens = self._extract(backbone, latents, batch, step)
            branches.append(Branch(self.readout(features, tokens), f"step{step + 1}"))
            if step + 1 < self.steps:
                latents = backbone.to_latents(features)
        return branches

    def token_names(self, batch: Batch, words: Sequence[str]) -> tuple[str, ...]:
        """Numbered prompts, and the words of the expression."""
        return (*(f"prompt {i + 1}" for i in range(len(self.prompts[0]))), *words)

    def _extract(self, backbone: Backbone, latents: Tensor, batch: Batch, step: int) -> tuple[Features, Tensor]:
        """One pass: its features, and the tokens (B, N, D) that conditioned it."""
        tokens = with_expression(self._tokens(step).expand(batch.image.shape[0], -1, -1), batch)
        time = self.times[step].expand(batch.image.shape[0], -1)
        return backbone.extract(latents, Conditioning(tokens, time_embedding=time)), tokens

    def _tokens(self, step: int) -> Tensor:
        prompts = self.prompts[min(step, len(self.prompts) - 1)]
        return self.adapters[step](prompts) if self.adapters else prompts
