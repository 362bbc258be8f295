from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

from diffperc.backbones import StableDiffusionBackbone
from diffperc.data import ADE20K
from diffperc.encoders import TextEncoder, imagenet_templates, name_embeddings, text_encoder_at
from diffperc.errors import ConfigError, WeightsError
from diffperc.layers.blocks import ResidualTokenMLP
from diffperc.strategies import VPD
from diffperc.strategies.parts.text_table import TextTable
from diffperc.types import Batch, TextSpec
from diffperc.weights.architecture import architecture
from tests.contracts.strategy import TEXTS, StrategyContract
from tests.helpers import composed


class TestVPD(StrategyContract):
    strategy = VPD


class TestVPDWithAttentionMaps(StrategyContract):
    strategy = VPD
    overrides = {"attention": [16, 32], "templates": "a photo of a {}"}  # noqa: RUF012


def test_without_adapter_the_unet_gets_the_text_vectors(backbone: StableDiffusionBackbone, batch: Batch) -> None:
    plain, adapted = (VPD(backbone, TEXTS["names"], templates="a {}", adapter=adapter) for adapter in (False, True))
    assert torch.equal(plain._tokens(batch), plain.table.vectors.expand(len(batch), -1, -1))
    assert not torch.equal(adapted._tokens(batch), plain._tokens(batch))
    assert not list(plain.parameters())


def test_the_table_returns_the_row_of_a_label_and_the_mean_for_an_unknown_one() -> None:
    table = TextTable(("a", "b", "c"), 4)
    table.vectors.copy_(torch.arange(12.0).reshape(3, 4))
    rows = table.one(torch.tensor([2, -1, 0]), 3)
    assert rows.tolist() == [[[8, 9, 10, 11]], [[4, 5, 6, 7]], [[0, 1, 2, 3]]]
    assert table.one(None, 2).tolist() == [[[4, 5, 6, 7]]] * 2


def test_the_table_zeroes_names_that_do_not_occur() -> None:
    """methods.md 3: rows of absent classes are zero."""
    table = TextTable(("a", "b", "c"), 2)
    table.vectors.copy_(torch.arange(1.0, 7).reshape(3, 2))
    labels = torch.tensor([[True, False, True], [False, False, False]])
    assert table.present(labels).tolist() == [[[1, 2], [0, 0], [5, 6]], [[0, 0]] * 3]


def test_the_adapter_starts_near_the_identity() -> None:
    """c + gamma * mlp(c), gamma 1e-4 (methods.md 0.6)."""
    adapter = ResidualTokenMLP(8)
    tokens = torch.randn(2, 3, 8)
    with torch.no_grad():
        torch.testing.assert_close(adapter(tokens) - tokens, 1e-4 * adapter.mlp(tokens), rtol=1e-2, atol=1e-6)
        adapter.gamma.zero_()
        assert torch.equal(adapter(tokens), tokens)


def test_class_embeddings_come_from_a_file(backbone: StableDiffusionBackbone, tmp_path: Path) -> None:
    table = torch.randn(3, backbone.token_dim)
    torch.save(table, tmp_path / "table.pth")
    strategy = VPD(backbone, TEXTS["scene"], class_embeddings=str(tmp_path / "table.pth"))
    strategy.initialise(backbone)
    assert torch.equal(strategy.table.vectors, table)
    torch.save(table[:2], tmp_path / "short.pth")
    short = VPD(backbone, TEXTS["scene"], class_embeddings=str(tmp_path / "short.pth"))
    with pytest.raises(WeightsError, match=r"must hold a tensor \(3, 128\), found \(2, 128\)"):
        short.initialise(backbone)


def test_a_data_set_without_names_is_refused(backbone: StableDiffusionBackbone) -> None:
    with pytest.raises(ConfigError, match=r"has\s+none. Use strategy=meta_prompts"):
        VPD(backbone, TextSpec("scene"))


def test_a_template_needs_a_place_for_the_name(backbone: StableDiffusionBackbone) -> None:
    with pytest.raises(
        ConfigError, match=r"strategy.templates: each must contain one \{\} for the name, found 'a photo'"
    ):
        VPD(backbone, TEXTS["names"], templates=["a {}", "a photo"]).initialise(backbone)


def test_names_are_inserted_into_the_template(backbone: StableDiffusionBackbone) -> None:
    torch.manual_seed(5)
    expected = backbone.text_encoder().encode([f"a {n} here" for n in TEXTS["names"].names], 20).pooled
    strategy = VPD(backbone, TEXTS["names"], templates="a {} here")
    torch.manual_seed(5)
    strategy.initialise(backbone)
    assert strategy.table is not None
    torch.testing.assert_close(strategy.table.vectors, expected)


def test_computed_vectors_are_kept_and_belong_to_their_encoder(
    backbone: StableDiffusionBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call encodes nothing; another encoder or another name is not served from the cache."""
    monkeypatch.setenv("DIFFPERC_CACHE", str(tmp_path))
    encoder, other = backbone.text_encoder(), backbone.text_encoder()
    first = name_embeddings(encoder, ("chair", "bed"), ["a {}"])
    monkeypatch.setattr(TextEncoder, "encode", None)
    assert torch.equal(name_embeddings(encoder, ("chair", "bed"), ["a {}"]), first)
    for again in (lambda: name_embeddings(encoder, ("chair", "sofa"), ["a {}"]),
                  lambda: name_embeddings(other, ("chair", "bed"), ["a {}"])):  # fmt: skip
        with pytest.raises(TypeError):
            again()


@pytest.mark.parametrize("size", [(64, 64), (64, 128)])
def test_attention_maps_are_the_last_channels(backbone: StableDiffusionBackbone, size: tuple[int, int]) -> None:
    """At any shape; they are probabilities over the names and have no gradient (methods.md 0.5)."""
    strategy = VPD(backbone, TEXTS["names"], templates="a {}", attention=[16, 32])
    strategy.initialise(backbone)
    images = torch.rand(2, 3, *size)
    features = strategy(backbone, backbone.encode(images), Batch(images))[0].features
    assert features.spec.channels == (32, 64 + 4, 96 + 4, 128)
    for i in (1, 2):
        maps = features.maps[i][:, -4:]
        assert maps.shape[-2:] == (size[0] // (8 * 2**i), size[1] // (8 * 2**i))
        torch.testing.assert_close(maps.sum(1), torch.ones_like(maps[:, 0]))
    for i, gain in ((1, 0.0), (2, 0.0)):
        maps = features.maps[i][:, -4:]
        (gradient,) = torch.autograd.grad(maps.square().sum(), strategy.adapter.gamma, retain_graph=True)
        assert gradient.abs().max() == gain
    loose = VPD(backbone, TEXTS["names"], templates="a {}", attention=[16], detach_attention=False)
    loose.initialise(backbone)
    maps = loose(backbone, backbone.encode(images), Batch(images))[0].features.maps[1][:, -4:]
    (gradient,) = torch.autograd.grad(maps.square().sum(), loose.adapter.gamma)
    assert gradient.any()


WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"
RELEASED = {
    "ade20k": ("clip_vitl14_text_ade20k_150x768.pth", "experiment=vpd_ade20k"),
    "nyuv2": ("clip_vitl14_text_nyu_27x768.pth", "experiment=vpd_nyuv2"),
}


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the released class vectors are not on this machine")
@pytest.mark.parametrize("dataset", RELEASED)
def test_the_released_class_vectors_load(dataset: str) -> None:
    """`strategy.class_embeddings=path` with the experiment's class names, at the width of Stable Diffusion 1.x."""
    file, experiment = RELEASED[dataset]
    cfg = composed(experiment, f"strategy.class_embeddings='{WEIGHTS / file}'")
    wide = architecture("sd15", None)
    for part, widths in (("unet", [32, 32, 32, 32]), ("vae", [32, 32, 32, 32])):
        wide[part]["block_out_channels"] = widths
    backbone = StableDiffusionBackbone(config=wide, empty=True)
    names = tuple(cfg.dataset.scenes) if dataset == "nyuv2" else ADE20K.classes
    text = TextSpec("scene" if dataset == "nyuv2" else "names", names)
    strategy = instantiate(cfg.strategy, _partial_=True, _convert_="all")(backbone=backbone, text=text)
    strategy.initialise(backbone)
    assert torch.equal(strategy.table.vectors, torch.load(WEIGHTS / file, weights_only=True))
    assert strategy.table.vectors.norm(dim=1).mean() > 20  # not normalised (methods.md 1.1)


def test_the_scenes_have_the_ids_of_the_released_checkpoint() -> None:
    """Rows of VPD's `class_embeddings`, which a converted checkpoint brings along (methods.md 1.3)."""
    names = composed("experiment=vpd_nyuv2").dataset.scenes
    rows = {0: "printer_room", 6: "kitchen", 8: "bedroom", 16: "home_storage", 25: "office", 26: "bookstore"}
    assert {row: names[row] for row in rows} == rows
    assert len(set(names)) == 27


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the released class vectors are not on this machine")
def test_the_scenes_are_in_the_order_of_the_released_rows() -> None:
    """CLIP's vector of a scene is nearest to those of related scenes, which shows which row is whose."""
    released = torch.load(WEIGHTS / RELEASED["nyuv2"][0], weights_only=True)
    names = composed("experiment=vpd_nyuv2").dataset.scenes
    vectors = torch.nn.functional.normalize(released, dim=-1)
    similar = vectors @ vectors.T - 2 * torch.eye(len(names))
    nearest = {name: names[int(row.argmax())] for name, row in zip(names, similar, strict=True)}
    related = {
        "kitchen": "office_kitchen",
        "home_office": "office",
        "study": "study_room",
        "bookstore": "furniture_store",
    }
    assert related.items() <= nearest.items()


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the released class vectors are not on this machine")
@pytest.mark.parametrize("dataset", RELEASED)
def test_class_vectors_made_from_names_are_near_the_released_ones(dataset: str) -> None:
    """Needs the text encoder of Stable Diffusion 1.5, in the hub's cache or at DIFFPERC_TEST_CLIP."""
    file, experiment = RELEASED[dataset]
    cfg = composed(experiment)
    where = os.environ.get("DIFFPERC_TEST_CLIP", f"{cfg.backbone.pretrained}@{cfg.backbone.revision}")
    try:
        encoder = text_encoder_at(where, "DIFFPERC_TEST_CLIP", 768)
    except WeightsError as error:
        pytest.skip(f"no text encoder: {error}")
    released = torch.load(WEIGHTS / file, weights_only=True)
    names = tuple(cfg.dataset.scenes) if dataset == "nyuv2" else ADE20K.classes
    templates = imagenet_templates() if cfg.strategy.templates == "imagenet" else cfg.strategy.templates
    made = name_embeddings(encoder, names, templates)
    similar = torch.nn.functional.cosine_similarity(made, released)
    # it is not known how ADE20K's file was computed (methods.md 1.1)
    assert similar.median() > (0.999 if dataset == "nyuv2" else 0.9)
