"""ECoDepth's first version and mmsegmentation's VPD depth: a model of this package, in their names, predicts the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diffperc import load
from diffperc.checkpoints import identify, import_official
from diffperc.checkpoints.native import empty_task
from diffperc.config.compose import composed
from diffperc.engine.build import build_preprocess, info_without_data
from diffperc.errors import CheckpointError, ConfigError, WeightsError
from diffperc.tasks import PerceptionTask
from diffperc.weights.architecture import architecture
from tests.fakes.authors import NARROW, SMALL, authors_state, random
from tests.fakes.exported import as_ecodepth, as_mmsegmentation

EXPERIMENTS = {"ecodepth_depth": "ecodepth_nyuv2", "mmseg_vpd_depth": "vpd_nyuv2"}


def native(kind: str, *overrides: str) -> PerceptionTask:
    """A small model of the experiment with random weights, as if it had been trained here."""
    cfg = composed("train", [f"experiment={EXPERIMENTS[kind]}", *NARROW[kind], *overrides])
    arch = architecture("sd15", None)
    for part in ("unet", "vae"):
        arch[part]["block_out_channels"] = SMALL[part]
    arch["unet"]["cross_attention_dim"] = 64
    task = empty_task(cfg, arch, info_without_data(cfg))
    task.load_state_dict({name: random(name, t) for name, t in task.state_dict().items()}, assign=True)
    for name in ("table.vectors", "embeddings", "adapter.gamma"):
        tensor = task.state_dict().get(f"model.strategy.{name}")
        if tensor is not None:
            tensor.mul_(10)  # so that what conditions the UNet is seen in the depth
    return task.eval()


def exported(kind: str, task: PerceptionTask, tmp_path: Path) -> dict[str, Tensor]:
    if kind == "ecodepth_depth":
        return as_ecodepth(task.model, tmp_path / "vit")
    return as_mmsegmentation(task.model)


def wrapped(kind: str, state: dict[str, Tensor]) -> dict[str, Any]:
    """As their training programs save it."""
    if kind == "ecodepth_depth":
        return {"model": state, "epoch": 24, "global_step": 100, "results_dict": {"rmse": np.float64(0.2)}}
    return {"meta": {"epoch": 1, "iter": 25000, "dataset_meta": {"classes": ("bathroom",)}}, "state_dict": state}


def depth(task: PerceptionTask, kind: str, image: np.ndarray, scene: str | None) -> np.ndarray:
    cfg = composed("train", [f"experiment={EXPERIMENTS[kind]}"])
    predictor = task.predictor(task.model, task.info, task.protocol, build_preprocess(cfg))
    given = {} if scene is None else {"scene": scene}
    return np.asarray(predictor(image, **given).depth)


@pytest.mark.parametrize("kind", EXPERIMENTS)
def test_a_converted_checkpoint_predicts_as_the_model_that_was_exported(kind: str, tmp_path: Path) -> None:
    task = native(kind)
    torch.save(wrapped(kind, exported(kind, task, tmp_path)), tmp_path / "theirs.pth")
    content = torch.load(tmp_path / "theirs.pth", weights_only=False)
    assert identify(content) == kind
    import_official(content).save(tmp_path / "ours.ckpt")
    again = load(tmp_path / "ours.ckpt", "cpu")
    image = np.random.default_rng(0).integers(0, 255, (70, 100, 3), np.uint8)
    found = {}
    for scene in ("kitchen", "bookstore", None) if kind == "mmseg_vpd_depth" else (None,):
        found[scene] = depth(task, kind, image, scene)
        given = {} if scene is None else {"scene": scene}
        np.testing.assert_allclose(again(image, **given).depth, found[scene], rtol=1e-3, atol=1e-4)
        assert found[scene].std() > 0.001
    if kind == "mmseg_vpd_depth":
        # the row of the scene is used, and that of the mean where there is none
        assert np.abs(found["kitchen"] - found["bookstore"]).max() > 0.001
        assert np.abs(found["kitchen"] - found[None]).max() > 0.001


def test_images_of_ecodepth_are_padded_with_black(tmp_path: Path) -> None:
    """Its first version pads the image with zeros before it brings it to [-1, 1]."""
    imported = import_official(exported("ecodepth_depth", native("ecodepth_depth"), tmp_path))
    prepared = imported.task.model.fit.prepare(torch.ones(1, 3, 70, 64), 64)
    assert prepared.shape == (1, 3, 128, 64)
    assert (prepared[:, :, 70:] == 0).all()
    assert (prepared[:, :, :70] == 1).all()


def test_ecodepth_was_trained_on_nyuv2_or_kitti() -> None:
    state = authors_state("ecodepth_depth", width=64)
    nyu, kitti = import_official(state), import_official(state, "kitti")
    assert nyu.alternatives == ("nyuv2", "kitti")
    assert (nyu.task.info.max_depth, kitti.task.info.max_depth) == (10.0, 80.0)
    assert (nyu.task.protocol.name, kitti.task.protocol.name) == ("nyu_eigen_whole", "kitti_garg_whole")
    with pytest.raises(ConfigError, match="this ecodepth_depth checkpoint is not one of 'vkitti'"):
        import_official(state, "vkitti")


def test_real_sizes_are_those_of_the_models() -> None:
    """At the widths of Stable Diffusion 1.5 and ViT-B/16; each tensor is one number, repeated."""

    def repeated(name: str, tensor: Tensor) -> Tensor:
        return torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)

    eco = import_official(authors_state("ecodepth_depth", full=True, fill=repeated))
    # the published sizes: of ViT-B/16 with 1000 classes, and of the UNet
    assert sum(p.numel() for p in eco.task.model.strategy.classifier.parameters()) == 86_567_656
    assert sum(p.numel() for p in eco.task.model.backbone.unet.parameters()) == 859_520_964
    assert eco.task.model.strategy.embeddings.shape == (100, 768)
    state = authors_state("mmseg_vpd_depth", full=True, fill=repeated)
    assert state["backbone.class_embeddings"].shape == (28, 768)
    mmseg = import_official(state)
    assert mmseg.task.model.strategy.table.vectors.shape == (27, 768)
    assert mmseg.config.head.neck_channels == 1536


def without(state: dict[str, Tensor], *parts: str) -> dict[str, Tensor]:
    return {name: t for name, t in state.items() if not any(part in name for part in parts)}


def test_what_else_these_programs_save_is_named(tmp_path: Path) -> None:
    state = authors_state("ecodepth_depth", width=64)
    second = {n.replace("unet.unet.diffusion_model.", "unet."): t for n, t in state.items()}
    second = without(second, ".fc.", ".embeddings", ".gamma", "embedding_adapter")
    with pytest.raises(WeightsError, match="is a checkpoint of ECoDepth's second version"):
        identify(second)
    earlier = {n.replace("cide_module.", "").replace("embedding_adapter", "text_adapter"): t for n, t in state.items()}
    with pytest.raises(WeightsError, match="ECoDepth before its release, whose timestep is not in the file"):
        identify(earlier)
    with pytest.raises(WeightsError, match="mmsegmentation other than VPD's depth model"):
        identify(without(authors_state("mmseg_vpd_depth", width=64), "decode_head"))
    torch.save({"state_dict": state}, tmp_path / "eco.ckpt")
    with pytest.raises(CheckpointError, match=r"was not written by diffperc\. Checkpoints of VPD, .* diffperc convert"):
        load(tmp_path / "eco.ckpt")


def test_a_table_that_conditions_as_a_whole_is_refused() -> None:
    """mmsegmentation without `class_embed_select` reads all rows for every image."""
    state = authors_state("mmseg_vpd_depth", width=64)
    table = state["backbone.class_embeddings"]
    with pytest.raises(WeightsError, match="does not end in the mean of its other rows"):
        import_official({**state, "backbone.class_embeddings": table[:27]})
    half = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    assert torch.equal(import_official(half).task.model.strategy.table.vectors, table[:27].half().float())


def test_a_classifier_whose_heads_are_not_known_is_refused() -> None:
    name = "encoder.cide_module.vit_model.vit.embeddings.patch_embeddings.projection.weight"
    state = authors_state("ecodepth_depth", width=64)
    with pytest.raises(WeightsError, match="is 256 wide, which is no published ViT's"):
        import_official({**state, name: torch.zeros(256, 3, 16, 16)})


@pytest.mark.parametrize("kind", ["vpd_depth", "mmseg_vpd_depth", "ecodepth_depth"])
def test_a_tensor_too_many_is_named_wherever_it_is(kind: str) -> None:
    """Also below modules that there are."""
    state = authors_state(kind, width=64)
    near = next(name for name in state if name.endswith(("layer1.3.weight", "conv1.3.weight")))
    more = near.replace("3.weight", "7.weight")
    with pytest.raises(WeightsError, match=rf"1 tensor does not belong to a {kind} checkpoint, the first is '{more}'"):
        import_official({**state, more: torch.zeros(2)})
