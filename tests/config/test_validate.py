"""Every yaml composes and builds; every mistake is named, all at once."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from diffperc.config import compose
from diffperc.config.cli import quoted
from diffperc.config.explain import explain_overrides, flags_first
from diffperc.config.find import conf_dir
from diffperc.config.nodes import with_absolute_paths
from diffperc.config.validate import validate
from diffperc.engine.build import build_dataset, build_preprocess, build_protocol, build_task
from diffperc.errors import ConfigError
from diffperc.tasks.depth import DepthProtocol
from tests.helpers import composed, names

CHOICES = list(itertools.product(names("task"), names("dataset")))


@pytest.mark.parametrize("choice", CHOICES, ids="-".join)
def test_every_combination_is_valid_or_the_data_lacks_the_target(choice: tuple[str, ...]) -> None:
    task, dataset = choice
    strategies = names("strategy") if dataset == "scenes" else ["vpd"]
    for strategy, backbone in [*((s, "tiny") for s in strategies), ("vpd", "sd15")]:
        cfg = composed(f"task={task}", f"strategy={strategy}", f"dataset={dataset}", f"backbone={backbone}")
        if get_class(cfg.dataset._target_).offers(get_class(cfg.task._target_).target):
            validate(cfg)
            assert isinstance(build_protocol(cfg), get_class(cfg.task._target_).protocols)
        else:
            with pytest.raises(ConfigError, match=f"task={task} needs .* Data sets that do: .*scenes"):
                validate(cfg)


@pytest.mark.parametrize("group", ["logger", "trainer", "optimizer", "head", "fit"])
def test_every_other_choice_is_valid(group: str) -> None:
    for name in names(group):
        validate(composed(f"{group}={name}"))


def test_the_published_depth_recipe_to_the_constant() -> None:
    """methods.md 1.3 and 2.1, as `strategy=meta_prompts dataset=nyuv2 backbone=sd15` composes it."""
    cfg = composed("strategy=meta_prompts", "dataset=nyuv2", "backbone=sd15")
    recipe = cfg.recipe
    assert (recipe.batch_size, recipe.epochs, recipe.lr, recipe.schedule.min_lr) == (24, 25, 5e-4, 3e-5)
    assert (recipe.weight_decay, recipe.unet_lr) == (0.1, 0.01)
    assert (cfg.preprocessing.short_side, cfg.preprocessing.crop) == (480, 480)
    assert (cfg.strategy.prompts, cfg.strategy.steps, cfg.fit.extra) == (50, 3, 1)
    assert (cfg.head.neck_channels, cfg.head.filters, cfg.head.channels) == (1536, 32, 192)
    assert (cfg.optimizer.schedule.warmup, cfg.optimizer.schedule.power) == (12 / 25, 0.9)
    protocol = cfg.task.protocol
    assert (list(protocol.crop), protocol.min_depth, protocol.max_depth) == ([45, 471, 41, 601], 1e-3, 10)
    assert (protocol.windows, protocol.flip) == (2, True)
    steps = [t._target_.rpartition(".")[2] for t in cfg.preprocessing.augment]
    assert steps == [
        "SmallestMaxSize",
        "HorizontalFlip",
        "RandomCrop",
        "RandomBrightnessContrast",
        "RandomGamma",
        "HueSaturationValue",
    ]
    assert len(cfg.dataset.scenes) == 27
    assert composed("strategy=vpd", "dataset=nyuv2", "backbone=sd15").fit._target_.endswith("PadFit")


@pytest.mark.parametrize("strategy", names("strategy"))
def test_every_strategy_builds_from_its_yaml(strategy: str) -> None:
    cfg = composed(f"strategy={strategy}")
    info = build_dataset(cfg, "val").info
    task = build_task(cfg, info)
    assert type(task.model.strategy).__name__.lower() == strategy.replace("_", "")
    assert task.protocol == DepthProtocol(name="plain", min_depth=0.001, max_depth=10.0, flip=True)


def test_all_problems_are_reported_at_once() -> None:
    cfg = composed("strategy=vpd")
    OmegaConf.set_struct(cfg, False)
    cfg.strategy.stesp = 2
    cfg.strategy.timestep = "one"
    cfg.head._target_ = "diffperc.heads.DeconvHaed"
    cfg.dataset.split = "train"
    cfg.recipe.lr = "???"
    del cfg.task.protocol.name
    with pytest.raises(ConfigError) as caught:
        validate(cfg)
    message = caught.value.sentence
    assert "recipe.lr has no value; set recipe.lr=..." in message
    assert "strategy.stesp: diffperc.strategies.VPD takes no 'stesp'" in message
    assert "strategy.timestep: must be a whole number, found 'one'" in message
    assert "head: 'diffperc.heads.DeconvHaed' cannot be imported" in message
    assert "dataset.split: diffperc.data.Scenes takes no 'split'" in message
    assert "task.protocol.name: is needed by diffperc.tasks.depth.DepthProtocol and missing" in message
    assert len(message.splitlines()) == 6


def test_a_task_whose_target_the_data_lacks_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(composed("task=pose", "dataset=camvid"))
    assert caught.value.sentence == (
        "task=pose needs the target 'keypoints', which the data set CamVid does not have; it has mask. Data sets that do: "
        "coco_pose, folder, scenes."
    )


def test_the_published_segmentation_recipes_to_the_constant() -> None:
    """methods.md 1.1 and 2.2."""
    cfg = composed("task=segmentation", "strategy=vpd", "backbone=sd15")
    recipe = cfg.recipe
    assert (recipe.batch_size, recipe.steps, recipe.lr, recipe.weight_decay) == (16, 80000, 8e-5, 1e-3)
    assert (recipe.schedule.warmup_steps, recipe.schedule.warmup_ratio, recipe.schedule.power) == (1500, 1e-6, 1.0)
    assert (recipe.unet_lr, cfg.head.channels, cfg.head.dropout) == (0.1, 256, 0.1)
    assert (list(cfg.strategy.templates), list(cfg.strategy.attention)) == (["a photo of a {}"], [16, 32])
    meta = composed("task=segmentation", "strategy=meta_prompts", "backbone=sd15", "head=upernet")
    strategy = meta.strategy
    assert (strategy.prompts, strategy.steps, strategy.shared, strategy.adapter) == (150, 3, True, False)
    assert (strategy.readout, meta.head._target_) == ("pyramid", "diffperc.heads.UPerHead")


def test_what_the_data_sets_change_of_the_recipes() -> None:
    """methods.md 1.1, 2.1 and 2.2."""
    ade = composed("experiment=vpd_ade20k")
    resize, crop, flip, colours, pad = ade.preprocessing.augment
    assert (list(resize.size), list(resize.ratios)) == ([2048, 512], [0.5, 2.0])
    assert (crop.height, crop.width, crop.max_share, flip.p) == (512, 512, 0.75, 0.5)
    assert (colours.brightness, list(colours.contrast), list(colours.saturation), colours.hue) == (
        32,
        [0.5, 1.5],
        [0.5, 1.5],
        18,
    )
    assert (pad.min_height, pad.fill_mask, ade.preprocessing.short_side) == (512, 255, 512)
    window = ade.task.protocol
    assert (window.window, window.stride) == (512, 341)
    meta = composed("experiment=meta_prompts_ade20k")
    assert (meta.recipe.batch_size, meta.recipe.lr, meta.task.lovasz, meta.head.channels) == (8, 8e-5, 1.0, 512)
    assert (meta.head.dropout, meta.head.auxiliary_weight, meta.strategy.steps) == (0.0, 0.4, 3)
    city = composed("experiment=meta_prompts_cityscapes_mapillary")
    assert (city.head.dropout, city.strategy.steps, city.preprocessing.crop, city.preprocessing.short_side) == (
        0.1,
        1,
        1024,
        None,
    )
    assert list(city.preprocessing.augment[0].size) == [2048, 1024]
    assert (city.task.protocol.window, city.task.protocol.stride) == (1024, 512)
    kitti = composed("experiment=meta_prompts_kitti")
    assert (kitti.preprocessing.crop, kitti.fit.extra, kitti.dataset.max_depth) == (352, 2, 80.0)
    assert (kitti.preprocessing.augment[2].height, kitti.task.protocol.windows) == (352, 16)
    g = composed("experiment=vpd_refcocog")
    assert (g.dataset.name, g.dataset.split_by, g.dataset.expression_length) == ("refcocog", "umd", 77)


def test_the_published_referring_recipe_to_the_constant() -> None:
    """methods.md 1.2, code-faithful: the UNet at the full rate."""
    cfg = composed("task=referring", "strategy=vpd", "dataset=refcoco", "backbone=sd15")
    recipe = cfg.recipe
    assert (recipe.batch_size, recipe.epochs, recipe.lr, recipe.weight_decay) == (32, 40, 5e-5, 1e-2)
    assert (recipe.schedule.power, list(cfg.preprocessing.size)) == (0.9, [512, 512])
    assert list(cfg.task.class_weights) == [0.9, 1.1]
    assert cfg.task.protocol.resized_target


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["strategy=vdp"], ["strategy=vdp: there is no such strategy; did you mean 'vpd'?"]),
        (["strategy.stesp=2"], ["there is no key 'strategy.stesp'", "did you mean 'steps'?"]),
        # a key of the strategy that was not chosen
        (
            ["strategy=vpd", "strategy.steps=2"],
            ["no key 'strategy.steps'", "Known: timestep, templates, _target_"],
        ),
        (["recipe.lr=1", "trainer.device=2"], ["no key 'trainer.device'", "did you mean 'devices'?"]),
        (["-m", "strategy=vpd,idep", "sed=1"], ["strategy=idep: there is no such strategy", "no key 'sed'", "'seed'"]),
        (["recipe.lr"], ["'recipe.lr' cannot be read as key=value"]),
    ],
)
def test_wrong_overrides_are_explained(overrides: list[str], expected: list[str]) -> None:
    text = "\n".join(explain_overrides(Path(conf_dir()), "train", overrides))
    for part in expected:
        assert part in text


def test_right_overrides_have_nothing_to_explain() -> None:
    right = ["strategy=vpd", "recipe.lr=0.1", "+new.key=1", "hydra.run.dir=x", "dataset.size=[64,64]"]
    assert explain_overrides(conf_dir(), "train", right) == []


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("caption=a red box, left of a [sphere] = round", "a red box, left of a [sphere] = round"),
        ("caption=it's 'quoted'", "it's 'quoted'"),
        ("expression=the red cube", "the red cube"),
        ("expression='the red cube'", "the red cube"),
        ("caption=null", None),
    ],
)
def test_a_sentence_needs_no_quotes(typed: str, value: str | None) -> None:
    """To Hydra a comma makes a list of choices."""
    cfg = compose.composed("predict", ["ckpt=x", "input=y", quoted(typed)])
    assert cfg[typed.partition("=")[0]] == value


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("input=007", "007"),
        ("input=photos, 2024 [old]=new.jpg", "photos, 2024 [old]=new.jpg"),
        ("output=1e5", "1e5"),
        ("output=true", "true"),
        ("output='a b'", "a b"),
    ],
)
def test_a_path_may_look_like_anything(typed: str, value: str) -> None:
    cfg = compose.composed("predict", ["ckpt=x", "input=y", quoted(typed)])
    assert cfg[typed.partition("=")[0]] == value


def test_in_a_sweep_commas_separate_paths_unless_there_is_such_a_file(tmp_path: Path) -> None:
    assert quoted("dataset.root=a,b", multirun=True) == "dataset.root=a,b"
    (tmp_path / "a,b").mkdir()
    assert quoted(f"dataset.root={tmp_path}/a,b", multirun=True) == f"dataset.root='{tmp_path}/a,b'"
    assert quoted("ckpt=[a.ckpt,b.ckpt]") == "ckpt=[a.ckpt,b.ckpt]"


@pytest.mark.parametrize(
    ("config_name", "overrides", "expected"),
    [
        ("train", ["+recipe.learning_rate=1e-3"], "recipe.learning_rate: nothing .* did you mean 'lr'"),
        ("train", ["+optimiser.lr=3"], "optimiser: nothing reads this key; did you mean 'optimizer'"),
        ("train", ["+learning_rate=3"], "learning_rate: nothing reads this key; did you mean 'recipe.lr'"),
        ("train", ["+callbacks.early=3"], "callbacks.early: nothing .* callbacks.early._target_="),
        ("train", ["task=segmentation", "optimizer=nominal", "recipe.rules=[]"], "recipe.rules: nothing"),
        ("train", ["+hydra.foo=3"], "hydra.foo: Hydra has no such key"),
        ("train", ["task=segmentation", "dataset=folder", "dataset.max_depth=3"], "dataset.max_depth: is not read for"),
        ("evaluate", ["ckpt=x", "+flip=true"], "flip: nothing reads this key"),
        ("predict", ["ckpt=x", "input=y", "+flp=true"], "flp: .* did you mean 'flip'"),
        ("pretrain", ["+unet.stps=3"], "unet.stps: .* did you mean 'steps'"),
        ("inspect", ["+sample=3"], "sample: .* did you mean 'samples'"),
    ],
)
def test_keys_that_nothing_reads_are_refused_behind_a_plus(
    config_name: str, overrides: list[str], expected: str
) -> None:
    cfg = compose.composed(config_name, [override for override in overrides if "hydra" not in override])
    with pytest.raises(ConfigError, match=expected):
        validate(cfg, config_name, overrides)


@pytest.mark.parametrize(
    ("choices", "typed", "expected"),
    [
        (["strategy=vpd"], "strategy.detach_attention=false", "with another strategy.attention than []; leave it out"),
        (["strategy=iedp"], "strategy.detach_attention=false", "with another strategy.attention than []"),
        (["strategy=tadp"], "strategy.detach_attention=true", "with another strategy.attention than []"),
        (["strategy.steps=1"], "strategy.shared=true", "with another strategy.steps than 1"),
        (["strategy.steps=1"], "strategy.supervise_steps=0.4", "with another strategy.steps than 1"),
        (["strategy.readout=pyramid"], "strategy.init_std=0.1", 'with another strategy.readout than "pyramid"'),
        (["task=segmentation"], "task.protocol.stride=64", "with another task.protocol.window than null"),
        (["task=pose"], "preprocessing.short_side=64", "not read for task=pose"),
        (["task=pose"], "preprocessing.interpolation=cubic", "not read for task=pose"),
        ([], "preprocessing.crop=64", "no transform of preprocessing.augment reads it"),
    ],
)
def test_keys_without_effect_in_a_composition_are_refused(choices: list[str], typed: str, expected: str) -> None:
    """A sweep over one would give equal rows."""
    with pytest.raises(ConfigError) as caught:
        validate(composed(*choices, typed), "train", [*choices, typed])
    assert caught.value.sentence.startswith(f"{typed.partition('=')[0]}: ")
    assert expected in caught.value.sentence


@pytest.mark.parametrize(
    "overrides",
    [
        ["task=segmentation", "strategy=vpd", "strategy.attention=[8]", "strategy.detach_attention=false"],
        ["strategy.steps=2", "strategy.shared=true", "strategy.supervise_steps=0.4", "strategy.init_std=null"],
        ["task=segmentation", "task.protocol.window=128", "task.protocol.stride=64"],
        ["experiment=meta_prompts_nyuv2", "preprocessing.crop=480"],
    ],
)
def test_keys_with_effect_are_taken(overrides: list[str]) -> None:
    validate(composed(*overrides), "train", overrides)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("recipe.lr=0", "recipe.lr: must be more than 0 and at most 100, found 0"),
        ("recipe.lr=-1", "recipe.lr: must be more than 0 and at most 100, found -1"),
        ("recipe.lr=nan", "recipe.lr: must be more than 0 and at most 100, found nan"),
        ("recipe.weight_decay=-0.1", "recipe.weight_decay: must be at least 0 and at most 100, found -0.1"),
        ("backbone.config=[a]", "backbone.config: must be a text or a mapping or null, found ['a']"),
        ("ema_decay=1.5", "ema_decay: must be at least 0 and less than 1 or null, found 1.5"),
        ("ema_decay=1", "ema_decay: must be at least 0 and less than 1"),
        ("seed=-1", "seed: must be at least 0"),
        ("num_workers=0.5", "num_workers: must be a whole number or 'auto', found 0.5"),
        ("dataset.val_size=0", "dataset.val_size: must be at least 1, found 0"),
        ("dataset.size=[128]", "dataset.size: must be a list of 2"),
        ("dataset.size=[128,0]", "dataset.size: must be a list whose elements are at least 1"),
        ("strategy.readout=fusd", "strategy.readout: must be 'fused' or 'pyramid', found 'fusd'"),
        ("task.variance_focus=1.5", "task.variance_focus: must be at least 0 and at most 1"),
        ("task.protocol.windows=0", "task.protocol.windows: must be at least 1"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches: must be at least 1"),
        ("+strategy.vit.hiden_size=8", "strategy.vit.hiden_size: strategy.vit takes no 'hiden_size'; did you mean"),
        ("strategy.vit.hidden_size=0", "strategy.vit.hidden_size: must be at least 1, found 0"),
        ("+strategy.vit.qkv_bias=3", "strategy.vit.qkv_bias: must be true or false, found 3"),
        ("strategy.vit=3", "strategy.vit: must be a mapping or null, found 3"),
        ("+backbone.image_encoder.revison=a", "backbone.image_encoder.revison: "),
        (
            "trainer.accelerator=true",
            "trainer.accelerator: must be 'auto' or 'cpu' or 'gpu' or 'cuda' or 'mps' or 'tpu'",
        ),
        ("trainer.strategy=3", "trainer.strategy: must be a text or a mapping, found 3"),
        ("trainer.devices=0", "trainer.devices: must be at least 1, or -1 or a text or a list, found 0"),
        ("trainer.max_steps=0", "trainer.max_steps: must be at least 1, or -1, found 0"),
    ],
)
def test_numbers_out_of_their_range_are_refused(override: str, expected: str) -> None:
    choices = ["strategy=ecodepth"] if "vit" in override else []
    with pytest.raises(ConfigError) as caught:
        validate(composed(*choices, override), "train", [*choices, override])
    assert caught.value.sentence.startswith(expected)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["preprocessing=pose"], "person_crop: is not read for the target 'depth'"),
        (
            ["task=pose", "preprocessing.augment=[{_target_:albumentations.HorizontalFlip}]"],
            "augment: is not read for persons",
        ),
        (["preprocessing.size=[64,64]"], "short_side=.* is not read"),
        (["preprocessing.augment.0.p=1.5"], "preprocessing: .*less than or equal to 1"),
    ],
)
def test_preprocessing_that_would_not_be_used_is_refused(overrides: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        build_preprocess(composed(*overrides))


def test_a_folder_of_the_configuration_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    cfg = with_absolute_paths(composed("dataset=folder", "dataset.root=data"))
    assert cfg.dataset.root == str(tmp_path / "data")
    assert cfg.backbone.pretrained == "tiny"


def test_a_key_at_the_top_may_have_been_meant_elsewhere() -> None:
    """Newcomers type batch_size=4."""
    for typed, meant in (("batch_size=4", "recipe.batch_size"), ("lr=0.1", "recipe.lr")):
        (problem,) = explain_overrides(conf_dir(), "train", [typed])
        assert problem.endswith(f"did you mean '{meant}'?")
        with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
            validate(composed(f"+{typed}"), "train", [f"+{typed}"])


def test_options_may_stand_anywhere() -> None:
    typed = ["task=depth", "--config-dir", "conf", "strategy=vpd", "-m", "-cn", "mine", "seed=1"]
    expected = ["--config-dir", "conf", "-m", "-cn", "mine", "task=depth", "strategy=vpd", "seed=1"]
    assert flags_first(typed) == expected


def test_a_group_replaced_by_its_name_is_explained() -> None:
    """As in a file of one's own with ``strategy: vpd``."""
    cfg = composed()
    cfg.strategy = "vpd"
    with pytest.raises(ConfigError, match=r"strategy: is 'vpd' where its configuration belongs; .*- override strategy"):
        validate(cfg)


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        *((command, ()) for command in ("train", "inspect", "benchmark", "estimate", "pretrain")),
        ("evaluate", ("ckpt=x",)),
        ("predict", ("ckpt=x", "input=x")),
        ("compare", ("runs=x",)),
        ("convert", ("ckpt=x", "out=y")),
    ],
)
def test_the_defaults_of_every_command_are_accepted(command: str, needed: tuple[str, ...]) -> None:
    """A key has one meaning in all commands: what is said of its values is said once."""
    validate(compose.composed(command, needed), command, needed)
