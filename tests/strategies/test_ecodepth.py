from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import ViTConfig, ViTForImageClassification

from diffperc.backbones import StableDiffusionBackbone
from diffperc.data import NYUv2
from diffperc.encoders.classifier import ImageClassifier
from diffperc.errors import ConfigError, WeightsError
from diffperc.strategies import ECoDepth
from diffperc.types import Batch, Conditioning
from tests.contracts.strategy import TEXTS, StrategyContract
from tests.helpers import composed

VIT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "num_labels": 7,
}


class TestECoDepth(StrategyContract):
    strategy = ECoDepth
    overrides = {"vit": VIT}  # noqa: RUF012


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small classifier that transformers wrote, with weights large enough to distinguish images."""
    torch.manual_seed(1)
    ViTForImageClassification(ViTConfig(**VIT, initializer_range=0.5)).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


@pytest.fixture
def strategy(backbone: StableDiffusionBackbone, folder: Path) -> ECoDepth:
    strategy = ECoDepth(backbone, TEXTS["scene"], str(folder), VIT)
    strategy.initialise(backbone)
    return strategy


@torch.no_grad()
def test_the_token_is_computed_from_the_logits(strategy: ECoDepth, folder: Path) -> None:
    """methods.md 4, from a model that transformers loads by itself."""
    image = torch.rand(2, 3, 64, 64)
    logits = ViTForImageClassification.from_pretrained(folder).eval()((image - 0.5) / 0.5).logits
    torch.testing.assert_close(strategy.classifier(image), logits)
    assert logits.std(0).min() > 0.01
    first, last = strategy.fc[0], strategy.fc[2]
    assert (first.weight.shape, last.weight.shape, strategy.embeddings.shape) == ((400, 7), (100, 400), (100, 128))
    hidden = F.gelu(logits @ first.weight.T + first.bias)
    weights = (hidden @ last.weight.T + last.bias).exp()
    weights = weights / weights.sum(1, keepdim=True)
    mixed = weights @ strategy.embeddings
    expected = mixed + 1e-4 * strategy.adapter.mlp(mixed)
    torch.testing.assert_close(strategy.token(image), expected[:, None])


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_an_image_is_padded_to_a_square_with_black_at_the_right_or_bottom(
    strategy: ECoDepth, size: tuple[int, int]
) -> None:
    image = torch.rand(1, 3, *size)
    padded = torch.zeros(1, 3, 96, 96)
    padded[..., : size[0], : size[1]] = image
    assert torch.equal(strategy.token(image), strategy.token(padded))
    assert not torch.allclose(strategy.token(image), strategy.token(padded.flip(-1).flip(-2)), atol=1e-4)


@torch.no_grad()
def test_latents_are_scaled_and_one_token_reaches_the_unet_at_time_1(backbone: StableDiffusionBackbone) -> None:
    """The model multiplies latents by 0.18215 before it calls the strategy."""
    torch.manual_seed(2)
    strategy = ECoDepth(backbone, TEXTS["scene"], vit=VIT)
    model = TestECoDepth.around(backbone, strategy, TEXTS["scene"]).eval()
    image = torch.rand(1, 3, 64, 64)
    latents = backbone.encode(image) * 0.18215
    features = backbone.extract(latents, Conditioning(strategy.token(image), timestep=torch.tensor([1])))
    expected = model.head(model.head.aggregate(features))
    expected = F.interpolate(expected, size=(64, 64), mode="bilinear", align_corners=model.head.align_corners)
    torch.testing.assert_close(model(Batch(image)).dense, expected)


def test_attention_scores_are_trained_only_where_there_are_several_tokens(backbone: StableDiffusionBackbone) -> None:
    assert ECoDepth(backbone, TEXTS["scene"], vit=VIT).trains == ("features", "time_embedding")
    assert ECoDepth(backbone, TEXTS["names"], vit=VIT).trains == ("features", "time_embedding")
    assert "attention_scores" in ECoDepth(backbone, TEXTS["expression"], vit=VIT).trains


def test_the_classifier_stays_frozen(backbone: StableDiffusionBackbone) -> None:
    strategy = ECoDepth(backbone, TEXTS["scene"], vit=VIT).train()
    assert not any(module.training for module in strategy.classifier.modules())
    assert not any(p.requires_grad for p in strategy.classifier.parameters())


def test_random_weights_are_logged(backbone: StableDiffusionBackbone, caplog: pytest.LogCaptureFixture) -> None:
    strategy = ECoDepth(backbone, TEXTS["scene"], vit=VIT)
    with caplog.at_level(logging.WARNING):
        strategy.initialise(backbone)
    assert "RANDOM weights" in caplog.text


def test_an_incomplete_or_other_classifier_is_refused(backbone: StableDiffusionBackbone, folder: Path) -> None:
    other = ECoDepth(backbone, TEXTS["scene"], str(folder), {**VIT, "num_attention_heads": 4})
    with pytest.raises(WeightsError, match=r"num_attention_heads of .* is 2, expected 4; set strategy.vit"):
        other.initialise(backbone)
    file = folder / "model.safetensors"
    whole = load_file(file)
    save_file({k: v for k, v in whole.items() if k != "classifier.weight"}, file, metadata={"format": "pt"})
    strategy = ECoDepth(backbone, TEXTS["scene"], str(folder), VIT)
    with pytest.raises(WeightsError, match=r"incomplete: 'classifier\.weight' is missing or of another shape"):
        strategy.initialise(backbone)
    save_file({**whole, "classifier.weight": torch.zeros(7, 16)}, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"vit: (cannot be loaded|incomplete)"):
        strategy.initialise(backbone)
    missing = ECoDepth(backbone, TEXTS["scene"], str(folder / "nowhere"), VIT)
    with pytest.raises(WeightsError, match=r"strategy.classifier: there is no .*nowhere'. Give a folder that"):
        missing.initialise(backbone)


def test_wrong_fields_of_the_classifier_are_named() -> None:
    with pytest.raises(ConfigError, match="no field 'hiden_size'; did you mean 'hidden_size'"):
        ImageClassifier({"hiden_size": 32})
    with pytest.raises(ConfigError, match="is no vision transformer"):
        ImageClassifier({**VIT, "hidden_size": "wide"})


def test_the_published_recipe_to_the_constant() -> None:
    """methods.md 4, first version."""
    cfg = composed("experiment=ecodepth_nyuv2")
    recipe, protocol = cfg.recipe, cfg.task.protocol
    assert (recipe.epochs, recipe.lr, recipe.schedule.min_lr, recipe.weight_decay) == (25, 5e-4, 3e-5, 0.1)
    assert (cfg.task.variance_focus, cfg.strategy.latent_scale, cfg.strategy.timestep) == (0.85, 0.18215, 1)
    assert (protocol.windows, protocol.flip, list(protocol.crop)) == (1, True, [45, 471, 41, 601])
    assert cfg.fit._target_.endswith("PadFit")
    assert cfg.dataset._target_ == f"diffperc.data.{NYUv2.__name__}"
    optimizer = instantiate(cfg.optimizer, _convert_="all")
    names = {
        "model.strategy.embeddings": (5e-3, 0.1),
        "model.strategy.fc.0.weight": (5e-4, 0.1),
        "model.strategy.fc.0.bias": (5e-4, 0.0),
        "model.backbone.unet.conv_in.weight": (5e-6, 0.1),
        "model.backbone.unet.conv_in.bias": (5e-6, 0.0),
    }
    for name, (lr, decay) in names.items():
        parameter = torch.nn.Parameter(torch.zeros(2) if name.endswith("bias") else torch.zeros(2, 2))
        (group,) = optimizer.groups([(name, parameter)])
        assert group["lr"] == pytest.approx(lr)
        assert group["weight_decay"] == decay
