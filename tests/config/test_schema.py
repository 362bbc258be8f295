"""The JSON schema of the training configuration."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # comes with nbformat
from omegaconf import OmegaConf

from diffperc.config.compose import composed
from diffperc.config.find import conf_dir
from diffperc.config.schema import train_schema


def names(group: str) -> list[str]:
    return sorted(f.stem for f in (conf_dir() / group).glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = train_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(validator: Draft202012Validator, *overrides: str) -> list[str]:
    content: Any = OmegaConf.to_container(composed("train", overrides), resolve=False)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(content)]


@pytest.mark.parametrize("task", names("task"))
def test_every_task_and_strategy_is_valid(task: str, validator: Draft202012Validator) -> None:
    for strategy, backbone in itertools.product(names("strategy"), ["tiny", "sd15"]):
        assert problems(validator, f"task={task}", f"strategy={strategy}", f"backbone={backbone}") == []


@pytest.mark.parametrize("group", ["dataset", "experiment", "head", "logger", "optimizer"])
def test_every_other_choice_is_valid(group: str, validator: Draft202012Validator) -> None:
    for name in names(group):
        assert problems(validator, f"{group}={name}") == [], name


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("recipe.lr=fast", "$.recipe.lr"),
        ("recipe.batch_size=1.5", "$.recipe.batch_size"),
        ("strategy.prompts=many", "$.strategy.prompts"),
        ("strategy.readout=both", "$.strategy.readout"),
        ("+strategy.promts=50", "$.strategy"),
        ("+strategy.backbone=tiny", "$.strategy"),
        ("backbone.frozen=1", "$.backbone.frozen"),
        ("task.protocol.flip=twice", "$.task.protocol.flip"),
        ("seed=first", "$.seed"),
        ("~optimizer.lr", "$.optimizer"),
    ],
)
def test_a_wrong_value_is_refused(override: str, path: str, validator: Draft202012Validator) -> None:
    (problem,) = problems(validator, override)
    assert problem.startswith(f"{path}: ")


def test_a_class_of_ones_own_may_have_any_keys(validator: Draft202012Validator) -> None:
    assert problems(validator, "strategy._target_=constant.Constant", "+strategy.tokens=4") == []


def test_keys_have_defaults_and_descriptions(validator: Draft202012Validator) -> None:
    definition = validator.schema["$defs"]["strategy.diffperc.strategies.MetaPrompts"]
    assert definition["properties"]["prompts"]["default"] == 50
    assert "learned prompts" in definition["properties"]["prompts"]["description"]
    assert validator.schema["properties"]["seed"]["description"].startswith("seed of the initial weights")
