"""Importing the authors' layouts, on synthetic state dicts of small width; their numbers are compared in tests/parity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffperc import load
from diffperc.backbones import StableDiffusionBackbone
from diffperc.checkpoints import identify, import_official, to_original
from diffperc.errors import CheckpointError, ConfigError, WeightsError
from diffperc.types import Batch
from tests.fakes.authors import NARROW, authors_state

KINDS = list(NARROW)
UNET = "unet.unet.diffusion_model."


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def state(kind: str) -> dict[str, Tensor]:
    return authors_state(kind, width=64)


def changed(state: dict[str, Tensor], **changes: Any) -> dict[str, Tensor]:
    return {**state, **changes}


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k != name}


def test_every_kind_is_identified_whatever_is_around_it(kind: str, state: dict[str, Tensor]) -> None:
    parallel = {f"module.{k}": v for k, v in state.items()}
    for content in (state, parallel, {"model": parallel, "epoch": 3}, {"state_dict": state, "meta": {"time": "x"}}):
        assert identify(content) == kind
    # one missing tensor must not hide what the file is
    for name in list(state)[:: max(1, len(state) // 20)]:
        assert identify(without(state, name)) == kind


def test_what_is_none_of_them_is_refused(backbone: StableDiffusionBackbone) -> None:
    for other in ({"weight": torch.zeros(3)}, {}, backbone.state_dict()):
        with pytest.raises(WeightsError, match="is none of the known checkpoints: vpd_depth, vpd_segmentation, "):
            identify(other)
    original = to_original({"unet": backbone.unet.state_dict(), "vae": backbone.vae.state_dict()})
    assert identify(original) == "stable_diffusion"
    with pytest.raises(WeightsError, match=r"is Stable Diffusion itself.* give it as backbone\.pretrained"):
        import_official(original)


def test_every_tensor_goes_to_its_place_without_a_copy(kind: str, state: dict[str, Tensor]) -> None:
    imported = import_official(state)
    assert imported.kind == kind
    own = imported.task.state_dict()
    assert sorted([*imported.names.values(), *imported.unused]) == sorted(state)
    for ours, theirs in imported.names.items():
        # the last row of mmsegmentation's table is the mean of the others
        expected = state[theirs][:-1] if theirs == "backbone.class_embeddings" else state[theirs]
        assert torch.equal(own[ours].flatten(), expected.flatten()), ours
        assert own[ours].data_ptr() == state[theirs].data_ptr(), ours
    assert set(own) - set(imported.names) <= {
        f"model.backbone.unet.{part}.{layer}"
        for part in ("conv_norm_out", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2")
        for layer in ("weight", "bias")
    }
    assert not imported.task.training


def test_a_saved_import_predicts_the_same_without_the_authors_file(
    kind: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    imported = import_official(state)
    file = tmp_path / "a folder/x.ckpt"
    if kind == "vpd_referring":
        with pytest.raises(CheckpointError, match="needs CLIP's text encoder to be used: give text_encoder"):
            imported.save(file)
        assert not file.parent.exists()
        return
    imported.save(file)
    assert [f.name for f in file.parent.iterdir()] == ["x.ckpt"]
    again = load(file)
    batch = Batch(torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        expected = imported.task.model(batch).dense
        torch.testing.assert_close(
            again.model(batch).dense, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )
    assert expected.std() > 0
    assert again.info == imported.task.info


def test_a_full_disk_or_a_folder_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match=r"x\.ckpt: cannot be written"):
        import_official(authors_state("vpd_depth", width=64)).save(tmp_path / "file/x.ckpt")
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["meta_prompts_depth", "meta_prompts_segmentation"])
def test_the_number_of_steps_is_read_off(kind: str, steps: int) -> None:
    state = authors_state(kind, steps=steps, width=64)
    imported = import_official(state)
    assert len(imported.task.model.strategy.times) == steps
    assert sum("cross_unet_conv" in name for name in imported.unused) == 4 * (steps - 1)


def test_classes_and_tokens_determine_the_data_set() -> None:
    city = import_official(authors_state("meta_prompts_segmentation", width=64, dataset="cityscapes"))
    assert (city.dataset, city.alternatives) == ("cityscapes", ("cityscapes",))
    assert city.task.info.classes[:2] == ("road", "sidewalk")
    assert city.task.protocol.name == "cityscapes_ss"
    ade = import_official(authors_state("meta_prompts_segmentation", width=64))
    assert (ade.dataset, len(ade.task.info.classes), ade.config.preprocessing.short_side) == ("ade20k", 150, 512)
    g = import_official(authors_state("vpd_referring", width=64, dataset="refcocog"))
    assert (g.dataset, g.task.info.expression_length, g.config.preprocessing.size) == ("refcocog", 77, [512, 512])
    short = authors_state("vpd_referring", width=64)
    assert import_official(short).alternatives == ("refcoco", "refcoco+")
    assert import_official(short, "refcoco+").dataset == "refcoco+"


def test_kittis_depth_models_have_the_shapes_of_nyuv2s() -> None:
    state = authors_state("meta_prompts_depth", width=64)
    nyu, kitti = import_official(state), import_official(state, "kitti")
    assert nyu.alternatives == kitti.alternatives == ("nyuv2", "kitti")
    batch = Batch(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert (nyu.task.info.max_depth, kitti.task.info.max_depth) == (10.0, 80.0)
    assert (nyu.task.model.fit.extra, kitti.task.model.fit.extra) == (1, 2)
    with torch.no_grad():
        assert nyu.task.model(batch).dense.max() < 10 < kitti.task.model(batch).dense.mean()
    with pytest.raises(
        ConfigError, match=r"this meta_prompts_depth checkpoint is not one of 'kiti'; did you mean 'kitti'"
    ):
        import_official(state, "kiti")


@pytest.mark.parametrize("thorough", [pytest.param(True, marks=pytest.mark.slow), False])
def test_damage_is_named_by_the_authors_names(kind: str, state: dict[str, Tensor], thorough: bool) -> None:
    """Whatever is missing, too much or of another shape: an error of ours that names it, never one of torch's."""
    # of strategy and head each eighth tensor, of UNet and VAE a few
    names = [n for n in state if UNET not in n and "encoder_vq" not in n and "sd_model" not in n]
    names = [n for n in names if "cross_unet" not in n and not n.endswith("num_batches_tracked")][
        :: 8 if thorough else 40
    ]
    names += [n for n in state if UNET in n or "encoder_vq.encoder" in n][5 :: 120 if thorough else 500]
    for name in names:
        with pytest.raises(WeightsError, match=r"(missing, the first|without) '" + name.replace(".", r"\.")):
            import_official(without(state, name))
        if state[name].dim():
            with pytest.raises(WeightsError, match=r"of shape|shapes|classes|mean of its other rows|no published ViT"):
                import_official(changed(state, **{name: torch.cat([state[name], state[name][:1]])}))
    with pytest.raises(WeightsError, match=r"1 tensor does not belong .* the first is 'neck\.more'"):
        import_official(changed(state, **{"neck.more": torch.zeros(2)}))


@pytest.mark.parametrize("kind", ["meta_prompts_depth", "meta_prompts_segmentation"])
def test_copies_that_disagree_are_refused(kind: str) -> None:
    state = authors_state(kind, width=64)
    name = next(n for n in state if "cross_unet_conv3.2.weight" in n)
    original = name.replace("cross_unet_conv3", "unet.unet.diffusion_model.out")
    with pytest.raises(WeightsError, match=rf"'{name}' and '{original}' are copies of one tensor"):
        import_official(changed(state, **{name: state[name] + 1e-6}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.full((64,), float("nan")), r"'encoder\.gamma' holds numbers that are not finite"),
        (torch.zeros(64, dtype=torch.int32), r"'encoder\.gamma' is no plain tensor .* \(torch\.int32"),
        (torch.zeros(64, dtype=torch.complex64), r"'encoder\.gamma' is no plain tensor"),
        (torch.zeros(64).to_sparse(), r"'encoder\.gamma' is no plain tensor .*sparse"),
        (torch.zeros(64, device="meta"), r"'encoder\.gamma' is no plain tensor .* on meta"),
    ],
    ids=["nan", "int", "complex", "sparse", "meta"],
)
def test_what_the_network_could_not_use_is_refused(value: Tensor, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        import_official(changed(authors_state("vpd_depth", width=64), **{"encoder.gamma": value}))


def test_a_file_without_counts_of_batches_is_whole() -> None:
    state = authors_state("vpd_depth", width=64)
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    assert import_official(old).task.state_dict().keys() == import_official(state).task.state_dict().keys()


def test_a_data_set_that_the_tensors_rule_out_is_refused() -> None:
    state = authors_state("vpd_referring", width=64)
    with pytest.raises(ConfigError, match=r"this vpd_referring checkpoint is not one of 'refcocog'.* Known: refcoco"):
        import_official(state, "refcocog")
    name = "classifier.conv1_4.weight"
    for tokens in (-28, 0, 78):
        with pytest.raises(WeightsError, match=rf"leaves room for {tokens} tokens"):
            import_official(changed(state, **{name: torch.zeros(16, 128 + tokens, 3, 3)}))


def test_our_own_checkpoint_is_none_of_the_authors() -> None:
    own = import_official(authors_state("vpd_depth", width=64)).task.state_dict()
    with pytest.raises(WeightsError, match="is a checkpoint of diffperc already"):
        identify(own)


def test_doubles_and_halves_become_float32() -> None:
    state = authors_state("vpd_depth", width=64)
    for dtype in (torch.float16, torch.float64):
        other = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        imported = import_official(other)
        assert {p.dtype for p in imported.task.parameters()} == {torch.float32}
        assert torch.equal(imported.task.model.strategy.adapter.gamma, other["encoder.gamma"].float())
