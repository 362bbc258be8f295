from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

from diffperc.backbones import StableDiffusionBackbone
from diffperc.checkpoints import load
from diffperc.encoders.captioner import Captioner, load_captioner
from diffperc.engine.build import build_dataset, build_preprocess, build_task
from diffperc.errors import DataError, WeightsError
from diffperc.strategies import TADP
from diffperc.strategies.tadp import caption_of, read_captions
from diffperc.types import Batch, Conditioning, SampleMeta, TextSpec
from tests.contracts.strategy import TEXTS, StrategyContract
from tests.helpers import composed

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] a red blue green box sphere chair lamp room with wall walls the of on left right"
)
SENTENCES = ("a red box left of a sphere", "a room with gray walls", "")


class Captioned(StrategyContract):
    """With a caption for each image but the last."""

    strategy = TADP

    @pytest.fixture
    def batch(self, text: TextSpec) -> Batch:
        plain = StrategyContract.batch.__wrapped__(self, text)
        return dataclasses.replace(plain, caption=SENTENCES)


class TestTADP(Captioned):
    def test_the_caption_counts(self, model: Any, batch: Batch) -> None:
        with torch.no_grad():
            first = model.eval()(batch).dense
            other = model(dataclasses.replace(batch, caption=SENTENCES[::-1])).dense
        assert (first - other)[0].abs().max() > 1e-4
        assert torch.equal(first[1], other[1])


class TestTADPWithAttentionMaps(Captioned):
    overrides = {"attention": [16, 32]}  # noqa: RUF012

    @pytest.fixture(scope="class", params=["names", "expression"])
    @classmethod
    def text(cls, request: pytest.FixtureRequest) -> TextSpec:
        return TEXTS[request.param]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BLIP with random weights in a folder as transformers writes it."""
    folder = tmp_path_factory.mktemp("blip")
    words = WORDS.split()
    vocabulary = folder / "words.txt"
    vocabulary.write_text("\n".join(words) + "\n")
    shared = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 16,
        "initializer_range": 1.0,
    }
    start = {"bos_token_id": len(words), "eos_token_id": 2, "pad_token_id": 0, "sep_token_id": 3}
    sizes = {"vocab_size": len(words) + 2, "encoder_hidden_size": 16, "max_position_embeddings": 96}
    config = BlipConfig(
        text_config={**shared, **start, **sizes}, vision_config={**shared, "image_size": 32, "patch_size": 16}
    )
    torch.manual_seed(0)
    BlipForConditionalGeneration(config).save_pretrained(folder / "model")
    BertTokenizer(str(vocabulary)).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def captioner(blip: Path) -> Captioner:
    return load_captioner(str(blip), "strategy.captioner")


def paths(*names: str) -> tuple[SampleMeta, ...]:
    return tuple(SampleMeta(name, (64, 64)) for name in names)


def written(folder: Path, captions: Any) -> str:
    (folder / "captions.json").write_text(json.dumps(captions))
    return str(folder / "captions.json")


@torch.no_grad()
def test_tokens_come_from_the_caption_and_latents_are_scaled(backbone: StableDiffusionBackbone) -> None:
    """methods.md 5: 77 tokens, no adapter, time 1, latents times 0.18215."""
    strategy = TADP(backbone, TEXTS["scene"])
    encoder = backbone.text_encoder()
    encoder.model.load_state_dict(strategy.text_encoder.model.state_dict())
    tokens = encoder.encode(SENTENCES, 77).tokens
    assert tokens.shape == (3, 77, backbone.token_dim)
    image = torch.rand(3, 3, 64, 64)
    features = backbone.extract(backbone.encode(image) * 0.18215, Conditioning(tokens, timestep=torch.ones(3)))
    model = TestTADP.around(backbone, strategy, TEXTS["scene"]).eval()
    expected = model.head(model.head.aggregate(features))
    expected = F.interpolate(expected, size=(64, 64), mode="bilinear", align_corners=model.head.align_corners)
    torch.testing.assert_close(model(Batch(image, caption=SENTENCES)).dense, expected)


def test_attention_maps_have_one_channel_per_token(backbone: StableDiffusionBackbone) -> None:
    assert TADP(backbone, TEXTS["names"], attention=[16, 32]).out_spec.channels == (32, 64 + 77, 96 + 77, 128)
    assert TADP(backbone, TEXTS["expression"], attention=[16]).out_spec.channels == (32, 64 + 77 + 6, 96, 128)


def test_the_text_encoder_is_frozen(backbone: StableDiffusionBackbone) -> None:
    strategy = TADP(backbone, TEXTS["scene"]).train()
    assert not any(m.training for m in strategy.text_encoder.modules())
    assert not [p for p in strategy.parameters() if p.requires_grad]


def test_the_longest_end_of_a_path_is_looked_up() -> None:
    captions = {"1.jpg": "any", "b/1.jpg": "of b", "a/b/1.jpg": "of a and b", "/data/x/2.jpg": "whole"}
    assert caption_of(captions, "/data/a/b/1.jpg") == "of a and b"
    assert caption_of(captions, "c/b/1.jpg") == "of b"
    assert caption_of(captions, "1.jpg") == "any"
    assert caption_of(captions, "/data/bb/1.jpg") == "any"
    assert caption_of(captions, "/data/x/2.jpg") == "whole"
    assert caption_of(captions, "x/2.jpg") is None
    assert caption_of(captions, "/data/11.jpg") is None


def test_a_file_precedes_the_data_set_and_the_data_set_the_captioner(
    backbone: StableDiffusionBackbone, blip: Path, captioner: Captioner, tmp_path: Path
) -> None:
    file = written(tmp_path, {"b/1.jpg": " from the file ", "2.jpg": ""})
    image = torch.rand(4, 3, 40, 56)
    batch = Batch(image, caption=("from the data", "from the data", "", ""), meta=paths("b/1.jpg", "2.jpg", "3", "4"))
    strategy = TADP(backbone, TEXTS["scene"], file, str(blip))
    strategy.initialise(backbone)
    assert strategy._captioner is None
    found = strategy.sentences(batch)
    assert found == ["from the file", "from the data", *captioner(image[2:])]
    assert TADP(backbone, TEXTS["scene"], file).sentences(batch) == ["from the file", "from the data", "", ""]
    assert TADP(backbone, TEXTS["scene"], captioner=str(blip)).sentences(Batch(image)) == captioner(image)
    assert not any("vision" in name or "text_decoder" in name for name in strategy.state_dict())
    assert strategy.state_dict().keys() == TADP(backbone, TEXTS["scene"]).state_dict().keys()


def test_an_image_without_a_caption_is_reported_once(
    backbone: StableDiffusionBackbone, caplog: pytest.LogCaptureFixture
) -> None:
    strategy = TADP(backbone, TEXTS["scene"])
    batch = Batch(torch.rand(2, 3, 64, 64), meta=paths("a/1.jpg", "a/2.jpg"))
    with caplog.at_level(logging.WARNING):
        assert strategy.sentences(batch) == ["", ""]
        strategy.sentences(batch)
    assert caplog.text.count("a/1.jpg has no caption, the empty sentence is used instead") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"captions.json cannot be read as json \(FileNotFoundError\); scripts/caption_images.py writes"),
        ("{", r"captions.json cannot be read as json \(JSONDecodeError\)"),
        ('["a"]', r'must hold \{"image.jpg": "a sentence", ...\}'),
        ('{"a.jpg": "a", "b.jpg": ["b"]}', r"the caption of 'b.jpg' must be a sentence, found \['b'\]"),
    ],
)
def test_a_wrong_captions_file_is_reported_before_training(
    backbone: StableDiffusionBackbone, tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "captions.json"
    if content is not None:
        file.write_text(content)
    strategy = TADP(backbone, TEXTS["scene"], str(file))
    with pytest.raises(DataError, match="strategy.captions: .*" + message):
        strategy.initialise(backbone)
    # `initialise` is not called for a checkpoint: then the first image of a data set reports it
    with pytest.raises(DataError, match=r"strategy\.captions: "):
        strategy.sentences(Batch(torch.rand(1, 3, 64, 64), meta=paths("1.jpg")))
    without_path = Batch(torch.rand(1, 3, 64, 64), caption=("a room",))
    assert strategy.sentences(without_path) == ["a room"]


def test_the_captioner_is_deterministic_and_depends_on_the_image(captioner: Captioner) -> None:
    """Greedy, 40 to 77 tokens, one sentence per image, independent of the rest of the batch."""
    image = torch.rand(3, 3, 48, 30)
    torch.manual_seed(1)
    first = captioner(image)
    torch.manual_seed(2)
    assert captioner(image) == first
    assert [captioner(image[i : i + 1])[0] for i in range(3)] == first
    assert len(set(first)) > 1
    ids = captioner.model.generate(torch.rand(1, 3, 32, 32), do_sample=False, min_new_tokens=40, max_new_tokens=77)
    assert 40 < ids.shape[1] <= 78
    # start, end and padding tokens are not part of the sentence
    assert all(set(sentence.split()) <= {*WORDS.split()[5:], "[UNK]", "[MASK]"} for sentence in first)


def test_the_captioner_normalises_images_as_its_processor_does(captioner: Captioner) -> None:
    """CLIP's mean and standard deviation; an image of the model's size is not resampled."""
    seen: list[torch.Tensor] = []
    hook = captioner.model.vision_model.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["pixel_values"]), with_kwargs=True
    )
    image = torch.rand(1, 3, 32, 32)
    captioner(image)
    hook.remove()
    mean, std = torch.tensor([0.4815, 0.4578, 0.4082]), torch.tensor([0.2686, 0.2613, 0.2758])
    expected = (image - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(seen[0], expected, rtol=1e-3, atol=1e-3)


def test_a_captioner_without_its_tokenizer_or_weights_is_refused(blip: Path, tmp_path: Path) -> None:
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((blip / name).read_bytes())
    with pytest.raises(WeightsError, match=r"strategy.captioner: the tokenizer in .* has 5 tokens, the model 24"):
        load_captioner(str(tmp_path), "strategy.captioner")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_captioner(str(tmp_path), "strategy.captioner")
    with pytest.raises(WeightsError, match=r"strategy\.captioner: there is no file or folder"):
        load_captioner("./nowhere", "strategy.captioner")


def test_an_image_is_predicted_with_a_caption(tmp_path: Path) -> None:
    """From a checkpoint whose captions file is on another machine."""
    photo = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)
    torch.manual_seed(0)
    cfg = composed("strategy=tadp", "dataset.size=[64,64]", "dataset.val_size=2")
    task = build_task(cfg, build_dataset(cfg, "val").info)
    provenance = {
        **task.provenance,
        "config": task.provenance["config"].replace("captions: null", "captions: gone.json"),
    }
    torch.save({"state_dict": task.state_dict(), "diffperc": provenance}, tmp_path / "x.ckpt")
    predictor = load(tmp_path / "x.ckpt")
    assert predictor.model.strategy.captions == "gone.json"
    assert "caption" in predictor.options
    depths = [
        predictor(photo, caption=sentence).depth for sentence in ("a red box", "a room with gray walls", None, "")
    ]
    assert np.abs(depths[0] - depths[1]).max() > 1e-5
    assert np.array_equal(depths[2], depths[3])


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("segmentation", {}),
        ("referring", {"expression": "the red cube"}),
        ("pose", {"boxes": [[0, 0, 60, 70], [60, 0, 70, 70]]}),
    ],
)
def test_every_task_accepts_a_caption(task: str, options: dict[str, Any]) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)
    torch.manual_seed(0)
    cfg = composed(f"task={task}", "strategy=tadp", "dataset.size=[64,64]", "dataset.val_size=2")
    built = build_task(cfg, build_dataset(cfg, "val").info)
    predictor: Any = built.predictor(built.model, built.info, built.protocol, build_preprocess(cfg))
    heard: list[list[str]] = []
    hook = built.model.strategy.text_encoder.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    predictor(photo, caption="a red box", **options)
    hook.remove()
    assert heard
    # for the mirror image too, where a task predicts it
    assert all(set(sentences) == {"a red box"} for sentences in heard)


def test_the_published_recipe_to_the_constant() -> None:
    """methods.md 5."""
    cfg = composed("experiment=tadp_ade20k")
    recipe = cfg.recipe
    assert (recipe.steps, recipe.batch_size, recipe.lr, recipe.weight_decay) == (80000, 16, 8e-5, 0.005)
    assert (list(cfg.strategy.attention), cfg.strategy.latent_scale, cfg.strategy.timestep) == ([16, 32], 0.18215, 1)
    cfg = composed("experiment=tadp_nyuv2")
    assert (cfg.recipe.epochs, cfg.recipe.batch_size, list(cfg.strategy.attention)) == (25, 24, [])
    assert cfg.task.protocol.windows == 2


def script() -> ModuleType:
    file = Path(__file__).resolve().parents[2] / "scripts/caption_images.py"
    spec = importlib.util.spec_from_file_location("caption_images", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_captions_a_folder_and_resumes_where_it_stopped(
    blip: Path, captioner: Captioner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    pixels = {name: generator.integers(0, 255, (40, 50, 3), np.uint8) for name in ("1.png", "a/2.png", "a/3.png")}
    for name, values in pixels.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(tmp_path / "images" / name)
    (tmp_path / "images/a/4.png").write_bytes(b"no image")
    (tmp_path / "images/notes.txt").write_text("no image either")
    out = tmp_path / "captions.json"
    out.write_text(json.dumps({"1.png": "left as it is"}))
    arguments = [str(tmp_path / "images"), str(out), "--model", str(blip), "--save-every", "1", "--device", "cpu"]
    main = script().main
    assert main(arguments) == 2
    assert "4.png: cannot be read as an image" in capsys.readouterr().err
    expected = {"1.png": "left as it is"}
    for name in ("a/2.png", "a/3.png"):
        image = torch.from_numpy(pixels[name]).permute(2, 0, 1)[None].float() / 255
        expected[name] = captioner(image)[0]
    assert read_captions(str(out)) == expected
    assert caption_of(expected, f"/elsewhere/{name}") == expected[name]
    assert not out.with_name(out.name + ".part").exists()
    (tmp_path / "images/a/4.png").unlink()
    # nothing is left to do, so the model is not loaded
    assert main([*arguments[:2], "--model", "./nowhere"]) == 0
    assert main([str(tmp_path), str(out), "--pattern", "*.png"]) == 2
    assert "there is no image that matches '*.png'" in capsys.readouterr().err
