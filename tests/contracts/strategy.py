"""What every strategy must do, for every kind of text a task may bring."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.heads import RefineHead
from diffperc.models.fit import PadFit
from diffperc.models.perception import PerceptionModel
from diffperc.strategies import Strategy
from diffperc.types import Batch, TextSpec
from tests.helpers import one

TEXTS = {
    "scene": TextSpec("scene", ("kitchen", "dining_room", "hall")),
    "names": TextSpec("names", ("floor", "wall", "chair", "lamp")),
    "expression": TextSpec("expression", ("floor", "wall", "chair", "lamp"), length=6),
}
EXPRESSIONS = ("the red chair", "the lamp", "a wall")


class StrategyContract:
    """Attributes: `strategy`, its `overrides`, its branches in training, and how many tensors it trains at least."""

    strategy: ClassVar[type[Strategy]]
    overrides: ClassVar[dict[str, Any]] = {}
    training_branches: ClassVar[int] = 1
    trained: ClassVar[int] = 100

    @pytest.fixture(scope="class", params=TEXTS)
    @classmethod
    def text(cls, request: pytest.FixtureRequest) -> TextSpec:
        return TEXTS[request.param]

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, text: TextSpec) -> PerceptionModel:
        """One for all tests of a class and text: building it costs more than running it."""
        torch.manual_seed(0)
        backbone = StableDiffusionBackbone(config="tiny")
        strategy = cls.strategy(backbone, text, **cls.overrides)  # type: ignore[call-arg]
        strategy.initialise(backbone)
        return cls.around(backbone, strategy, text)

    @classmethod
    def around(cls, backbone: StableDiffusionBackbone, strategy: Strategy, text: TextSpec) -> PerceptionModel:
        head = RefineHead(strategy.out_spec, 2, channels=16)
        expression = backbone.expression_encoder(text.length) if text.kind == "expression" else None
        return PerceptionModel(backbone, strategy, head, PadFit(), torch.nn.Identity(), expression=expression)

    @pytest.fixture
    def batch(self, text: TextSpec) -> Batch:
        """Three images of 64 x 128; scene labels, or names that occur and expressions, as the text asks."""
        image = torch.rand(3, 3, 64, 128, generator=torch.Generator().manual_seed(3))
        if text.kind == "scene":
            return Batch(image, scene=torch.tensor([0, 2, -1]))
        labels = torch.tensor([[True, True, False, True], [False] * 4, [True, False, False, False]])
        expression = EXPRESSIONS if text.kind == "expression" else None
        return Batch(image, labels=labels, expression=expression)

    def test_every_trainable_parameter_gets_a_gradient(self, model: PerceptionModel, batch: Batch) -> None:
        """DDP without `find_unused_parameters` needs it; what is frozen gets none."""
        model.train()
        prediction = model(batch)
        loss = prediction.weight * prediction.dense.square().mean()
        for extra in prediction.extras:
            loss = loss + extra.weight * extra.dense.square().mean()
        loss.backward()
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert len(trainable) > self.trained
        without = [n for n, p in trainable.items() if p.grad is None or not p.grad.abs().max() > 0]
        assert not without
        assert not [n for n, p in model.named_parameters() if not p.requires_grad and p.grad is not None]
        model.zero_grad()

    def test_branches(self, model: PerceptionModel, batch: Batch) -> None:
        assert 1 + len(model.train()(batch).extras) == self.training_branches
        with torch.no_grad():
            assert model.eval()(batch).extras == ()

    def test_the_features_are_what_was_announced(self, model: PerceptionModel, batch: Batch) -> None:
        with torch.no_grad():
            batch = dataclasses.replace(batch, expression_tokens=model.expression(batch.expression)) if (
                model.expression is not None and batch.expression is not None
            ) else batch  # fmt: skip
            latents = model.backbone.encode(batch.image)
            features = model.strategy.eval()(model.backbone, latents, batch)[0].features
        assert features.spec == model.strategy.out_spec
        assert [m.shape[1] for m in features.maps] == list(model.strategy.out_spec.channels)
        assert [64 // m.shape[2] for m in features.maps] == list(model.strategy.out_spec.strides)

    def test_a_sample_does_not_depend_on_its_batch_mates(self, model: PerceptionModel, batch: Batch) -> None:
        model.eval()
        with torch.no_grad():
            together = model(batch).dense
            for i in range(len(batch)):
                torch.testing.assert_close(model(one(batch, i)).dense, together[i : i + 1], rtol=1e-3, atol=1e-4)

    def test_the_result_depends_on_the_image_and_is_repeatable(self, model: PerceptionModel, batch: Batch) -> None:
        model.eval()
        with torch.no_grad():
            first, again = model(batch).dense, model(batch).dense
            other = model(dataclasses.replace(batch, image=batch.image.flip(-1))).dense
        assert torch.equal(first, again)
        assert (first - other).abs().max() > 1e-4

    def test_the_expression_counts(self, model: PerceptionModel, batch: Batch, text: TextSpec) -> None:
        if text.kind != "expression":
            pytest.skip("this text has no expression")
        model.eval()
        with torch.no_grad():
            first = model(batch).dense
            other = model(dataclasses.replace(batch, expression=EXPRESSIONS[::-1])).dense
        assert (first - other)[0].abs().max() > 1e-5
        assert torch.equal(first[1], other[1])

    @pytest.mark.parametrize("size", [(64, 64), (50, 97)])
    def test_any_size_and_no_label(self, model: PerceptionModel, size: tuple[int, int], text: TextSpec) -> None:
        expression = ("the lamp",) if text.kind == "expression" else None
        with torch.no_grad():
            dense = model.eval()(Batch(torch.rand(1, 3, *size), expression=expression)).dense
        assert dense.shape == (1, 2, *size)
        assert dense.isfinite().all()

    def test_state_dict_alone_restores_the_result(self, model: PerceptionModel, batch: Batch, text: TextSpec) -> None:
        """Text vectors and encoders travel in the state dict: no `initialise` on the other side."""
        torch.manual_seed(99)
        backbone = StableDiffusionBackbone(config=model.backbone.architecture, empty=True)
        strategy = self.strategy(backbone, text, **self.overrides)  # type: ignore[call-arg]
        other = self.around(backbone, strategy, text)
        other.load_state_dict(model.state_dict(), assign=True)
        with torch.no_grad():
            assert torch.equal(other.eval()(batch).dense, model.eval()(batch).dense)
