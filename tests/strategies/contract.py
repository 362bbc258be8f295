"""What every strategy must do. A new one gets these tests by a subclass with a few attributes."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.heads import DeconvHead
from diffperc.losses import silog_loss
from diffperc.model import PerceptionModel
from diffperc.nn.fit import PadFit
from diffperc.nn.outputs import BoundedDepth
from diffperc.strategies import Strategy
from diffperc.types import Batch, DatasetInfo


class StrategyContract:
    """Attributes: `strategy`, its `overrides`, and how many branches it has in training."""

    strategy: ClassVar[type[Strategy]]
    overrides: ClassVar[dict[str, Any]] = {}
    training_branches: ClassVar[int] = 1

    @pytest.fixture
    def model(self, backbone: StableDiffusionBackbone, info: DatasetInfo) -> PerceptionModel:
        strategy = self.strategy(backbone, info, **self.overrides)  # type: ignore[call-arg]
        strategy.initialise(backbone)
        head = DeconvHead(strategy.out_spec, 1, neck_channels=64, filters=8, channels=8)
        # the published initial weights are so small that gradients would drown in rounding
        for name, parameter in head.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.kaiming_normal_(parameter, generator=torch.Generator().manual_seed(len(name)))
        return PerceptionModel(backbone, strategy, head, PadFit(), BoundedDepth(10.0))

    def test_every_trainable_parameter_gets_a_gradient(self, model: PerceptionModel, batch: Batch) -> None:
        """DDP without `find_unused_parameters` needs it; what is frozen gets none."""
        model.train()
        prediction = model(batch)
        loss = prediction.weight * silog_loss(prediction.dense, batch.targets["depth"])
        for _, weight, dense in prediction.extras:
            loss = loss + weight * silog_loss(dense, batch.targets["depth"])
        loss.backward()
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert len(trainable) > 100
        without = [n for n, p in trainable.items() if p.grad is None or not p.grad.abs().max() > 0]
        assert not without
        assert not [n for n, p in model.named_parameters() if not p.requires_grad and p.grad is not None]

    def test_branches(self, model: PerceptionModel, batch: Batch) -> None:
        assert 1 + len(model.train()(batch).extras) == self.training_branches
        with torch.no_grad():
            assert model.eval()(batch).extras == ()

    def test_a_sample_does_not_depend_on_its_batch_mates(self, model: PerceptionModel, batch: Batch) -> None:
        model.eval()
        assert batch.scene is not None
        with torch.no_grad():
            together = model(batch).dense
            for i in range(len(batch)):
                alone = Batch(batch.image[i : i + 1], scene=batch.scene[i : i + 1])
                torch.testing.assert_close(model(alone).dense, together[i : i + 1], rtol=1e-3, atol=1e-4)

    def test_the_result_depends_on_the_image_and_is_repeatable(self, model: PerceptionModel, batch: Batch) -> None:
        model.eval()
        with torch.no_grad():
            first, again = model(batch).dense, model(batch).dense
            other = model(Batch(batch.image.flip(-1), scene=batch.scene)).dense
        assert torch.equal(first, again)
        assert (first - other).abs().max() > 1e-4

    @pytest.mark.parametrize("size", [(64, 64), (50, 97)])
    def test_any_size_and_no_scene_label(self, model: PerceptionModel, size: tuple[int, int]) -> None:
        with torch.no_grad():
            dense = model.eval()(Batch(torch.rand(1, 3, *size))).dense
        assert dense.shape == (1, 1, *size)
        assert dense.min() > 0
        assert dense.max() < 10

    def test_state_dict_alone_restores_the_result(
        self, model: PerceptionModel, batch: Batch, info: DatasetInfo
    ) -> None:
        """Text vectors and image encoder travel in the state dict: no `initialise` on the other side."""
        torch.manual_seed(99)
        backbone = StableDiffusionBackbone(config=model.backbone.architecture)
        strategy = self.strategy(backbone, info, **self.overrides)  # type: ignore[call-arg]
        head = DeconvHead(strategy.out_spec, 1, neck_channels=64, filters=8, channels=8)
        other = PerceptionModel(backbone, strategy, head, PadFit(), BoundedDepth(10.0))
        other.load_state_dict(model.state_dict())
        with torch.no_grad():
            assert torch.equal(other.eval()(batch).dense, model.eval()(batch).dense)
