"""Pretraining in miniature: the stages, what they write, and that they resume."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from diffperc.backbones import StableDiffusionBackbone
from diffperc.config.compose import composed
from diffperc.data.formats.captioned_images import captioned_images
from diffperc.errors import ConfigError, DataError, DiffPercError
from diffperc.pretraining import pretrain
from diffperc.pretraining.clip import Contrastive, similarity
from diffperc.pretraining.corpus import prepare_corpus
from diffperc.pretraining.unet import Denoiser
from diffperc.pretraining.vae import to_unit_latents
from diffperc.types import Conditioning
from diffperc.weights.architecture import config_folder

SMALL = [
    "scenes=24",
    "held_out=8",
    "size=64",
    "processes=1",
    "num_workers=0",
    "device=cpu",
    "unet.draws=2",
    *(f"{stage}.{key}={value}" for stage in ("clip", "vae", "unet", "decoder") for key, value in
      {"steps": 4, "batch_size": 4, "validate_every": 2, "keep_every": 2}.items()),
]  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages, a few steps each."""
    folder = tmp_path_factory.mktemp("pretrained")
    pretrain(composed("pretrain", [f"out='{folder}'", *SMALL, "unet.control=true"]))
    return folder


def test_diffusers_draws_from_the_folder(out: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(out)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    drawn = pipeline("a red box", height=64, width=64, num_inference_steps=2, generator=generator, output_type="np")
    assert drawn.images.shape == (1, 64, 64, 3)
    assert np.isfinite(drawn.images).all()


def test_the_backbone_reads_the_folder(out: Path) -> None:
    backbone = StableDiffusionBackbone(pretrained=str(out))
    image = torch.from_numpy(np.load(out / "corpus/images.npy")[:8].copy()).permute(0, 3, 1, 2).float() / 255
    latents = backbone.encode(image)
    # normalised on the training images, of which these are half
    assert latents.mean((0, 2, 3)).abs().max() < 0.5
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.5
    encoder = backbone.text_encoder()
    tokens = encoder.encode(["a red box"] * 8).tokens
    features = backbone.extract(latents, Conditioning(tokens, torch.ones(8)), [8])
    assert features.maps[0].isfinite().all()
    again = StableDiffusionBackbone(config="tiny")
    assert not torch.equal(again.unet.conv_in.weight, backbone.unet.conv_in.weight)


def test_metrics_and_images_are_written(out: Path) -> None:
    found = {stage: json.loads((out / f"{stage}.json").read_text()) for stage in ("clip", "vae", "unet", "decoder")}
    assert set(found["clip"]) == {"val/retrieval", "val/retrieval_of_pictures"}
    assert 0 < found["vae"]["val/psnr_db"] < 40
    assert set(found["unet"]) >= {"val/unet_loss", "val/unet_loss_without_caption", "val/unet_control_loss"}
    assert Image.open(out / "samples.png").size == (4 * 64, 4 * 64)
    assert len((out / "samples.txt").read_text().splitlines()) == 16


def test_training_the_decoder_keeps_the_latents(out: Path) -> None:
    """The UNet stays valid: only the decoder has changed since the stage before."""
    vae = AutoencoderKL.from_pretrained(out / "vae").eval()
    images = torch.from_numpy(np.load(out / "corpus/images.npy")[:4].copy()).permute(0, 3, 1, 2).float() / 255
    cached = torch.load(out / "stages/latents.pt", weights_only=True)[:4].float()
    with torch.no_grad():
        torch.testing.assert_close(vae.encode(images * 2 - 1).latent_dist.mode(), cached, rtol=1e-2, atol=1e-2)
    before = torch.load(out / "stages/vae/last.ckpt", weights_only=True)["state_dict"]
    now = vae.state_dict()
    assert torch.equal(before["vae.encoder.conv_out.weight"], now["encoder.conv_out.weight"])
    assert not torch.equal(before["vae.decoder.conv_out.weight"], now["decoder.conv_out.weight"])


def test_a_stage_resumes_where_it_stopped(out: Path, tmp_path: Path) -> None:
    last = torch.load(out / "stages/clip/last.ckpt", weights_only=False)
    assert last["global_step"] == 4
    more = composed("pretrain", [f"out='{out}'", *SMALL, "stages=[clip]", "clip.steps=6"])
    before = (out / "vae/config.json").stat().st_mtime_ns
    pretrain(more)
    assert torch.load(out / "stages/clip/last.ckpt", weights_only=False)["global_step"] == 6
    assert (out / "vae/config.json").stat().st_mtime_ns == before
    curves = [
        [int(row["step"]) for row in csv.DictReader(file.open()) if row["val/retrieval"]]
        for file in sorted((out / "stages/clip/curves").glob("version_*/metrics.csv"))
    ]
    assert [sorted(set(steps)) for steps in curves] == [[1, 3, 4], [5, 6]]


def test_a_finished_stage_writes_the_same_weights_again(out: Path) -> None:
    """The weights averaged over the steps, not those of the last step."""
    weights = out / "unet/diffusion_pytorch_model.safetensors"
    before = load_file(weights)
    pretrain(composed("pretrain", [f"out='{out}'", *SMALL, "stages=[unet]", "unet.control=true"]))
    after = load_file(weights)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stages=[unett]"], r"stages: there is no stage 'unett'; did you mean 'unet'\?"),
        (["stages=[clip,unet]"], r"stages: 'unet' needs 'vae', but there is no vae in .*; run it too\."),
        (["stages=unet"], r"stages=unet: must be a list, as in stages=\[unet\]\."),
        (
            ["clip.merges=abc", "unet.lr=fast"],
            r"clip\.merges: must be a whole number, found 'abc'\n"
            r"unet\.lr: must be a number, found 'fast'",
        ),
        (["unet.draws=0"], r"unet\.draws: must be at least 1, found 0"),
        (["unet.lr=-1"], r"unet\.lr: must be at least 0, found -1"),
        (["unet.caption_dropout=2"], r"unet\.caption_dropout=2: must be at most 1\."),
        (["vae.crop=13"], r"vae\.crop=13: must be a multiple of 8, the VAE's factor, and at most size=64\."),
        (["clip.merges=-1"], r"clip\.merges: must be at least 0, found -1"),
        (["scenes=10"], r"scenes=10: is too few; with held_out=8 at least 24 are needed"),
        (["images=/no/such"], r"/no/such: there is no such folder\."),
    ],
)
def test_mistakes_are_reported_before_anything_is_written(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DiffPercError, match=message):
        pretrain(composed("pretrain", [f"out='{tmp_path}/new'", *SMALL, *overrides]))
    assert not list(tmp_path.iterdir())


def test_unit_latents_decode_to_the_same_image() -> None:
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=1, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).eval()  # fmt: skip
    image = torch.rand(4, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = vae.encode(image).latent_dist
        decoded = vae.decode(before.mode()).sample
        to_unit_latents(vae, before.mode())
        after = vae.encode(image).latent_dist
        torch.testing.assert_close(vae.decode(after.mode()).sample, decoded, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.mode().mean((0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(after.mode().std((0, 2, 3)), torch.ones(4), rtol=1e-4, atol=1e-4)
    ratio = (after.std / before.std).mean((0, 2, 3))
    torch.testing.assert_close(ratio, 1 / before.mode().std((0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_retrieval_is_the_share_of_right_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Contrastive.__new__(Contrastive)
    logged: dict[str, float] = {}
    monkeypatch.setattr(Contrastive, "log", lambda self, name, value, **_: logged.update({name: float(value)}))
    vectors = torch.eye(4)
    monkeypatch.setattr(Contrastive, "__call__", lambda self, a, b: (a, b))
    module.validation_step((vectors, vectors[[0, 1, 3, 2]]), 0)
    assert logged["val/retrieval"] == 0.5


def test_similarity_is_computed_in_float32_under_autocast() -> None:
    image, text = torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = similarity(image, text)
    assert torch.equal(mixed, image @ text.T)


def test_captioned_images_are_a_corpus(tmp_path: Path) -> None:
    """The central square; images without a caption are left out."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = []
    for i in range(4):
        pixels = np.zeros((20, 40, 3), np.uint8)
        pixels[:, 10:30] = 50 * (i + 1)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "captions": [f"picture {i}", "other"] if i else []})
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    assert [caption for _, caption in captioned_images(folder)] == ["picture 1", "picture 2", "picture 3"]
    found = prepare_corpus(tmp_path / "corpus", str(folder), 0, 1, 16, 1)
    assert found.captions == ("picture 1", "picture 2", "picture 3")
    assert [int(found.images[i].min()) for i in range(3)] == [100, 150, 200]
    assert (list(found.train), list(found.test)) == ([0, 1], [2])
    with pytest.raises(ConfigError, match=r"has 3 images of 16 pixels; at least 6 of 16 are needed"):
        prepare_corpus(tmp_path / "corpus", str(folder), 0, 2, 16, 1)
    with pytest.raises(ConfigError, match=r"photos: has 3 images with captions; with held_out=2 at least 6 are needed"):
        prepare_corpus(tmp_path / "other", str(folder), 0, 2, 16, 1)
    with pytest.raises(DataError, match=r"no metadata\.jsonl or metadata\.csv with captions of images"):
        captioned_images(tmp_path / "corpus")


def test_a_tokenizer_is_trained_on_the_captions_of_given_images(tmp_path: Path) -> None:
    """A text encoder that was begun with other tokens is not resumed."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    rows = [{"file_name": f"{i}.png", "captions": ["a zebra grazing near giraffes"]} for i in range(24)]
    rows[-1]["captions"] = ["an aardvark"]
    for i in range(24):
        Image.new("RGB", (64, 64), (10 * i, 0, 0)).save(photos / f"{i}.png")
    (photos / "metadata.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    overrides = [f"out='{out}'", f"images='{photos}'", *SMALL, "stages=[clip]"]
    pretrain(composed("pretrain", overrides))
    tokenizer = CLIPTokenizer.from_pretrained(str(out / "tokenizer"))
    assert tokenizer.tokenize("giraffes near a zebra") == ["giraffes</w>", "near</w>", "a</w>", "zebra</w>"]
    assert len(tokenizer.tokenize("aardvark")) > 1  # held out
    encoder = CLIPTextModel.from_pretrained(out / "text_encoder")
    assert encoder.get_input_embeddings().num_embeddings == len(tokenizer)
    # the vector of a sentence is that of its end token, not of the padding behind it
    ids = tokenizer(["a zebra"], padding="max_length", max_length=9, return_tensors="pt")["input_ids"]
    encoded = encoder(input_ids=ids)
    assert torch.equal(encoded.pooler_output[0], encoded.last_hidden_state[0, 3])
    with pytest.raises(
        ConfigError, match=r"clip\.merges=3 gives 517 tokens; the text encoder in .* was begun with others"
    ):
        pretrain(composed("pretrain", [*overrides, "clip.merges=3", "clip.steps=6"]))
    assert len(CLIPTokenizer.from_pretrained(str(out / "tokenizer"))) == len(tokenizer)
    pretrain(composed("pretrain", [*overrides, "stages=[vae,unet]", "unet.draws=1"]))
    drawn = (out / "samples.txt").read_text().splitlines()
    assert drawn[0] == "an aardvark"
    assert set(drawn[1:]) == {"a zebra grazing near giraffes"}


def test_the_error_of_the_noise_follows_from_that_of_the_velocity(monkeypatch: pytest.MonkeyPatch) -> None:
    """With latents of zero and a predicted velocity of zero, the errors follow from the noise schedule alone."""
    config = json.loads((config_folder("tiny") / "unet" / "config.json").read_text())
    module = Denoiser(config, torch.zeros(77, 128), lr=1.0, weight_decay=0.0, caption_dropout=0.1)
    torch.nn.init.zeros_(module.unet.conv_out.weight)
    torch.nn.init.zeros_(module.unet.conv_out.bias)
    logged: dict[str, float] = {}
    monkeypatch.setattr(Denoiser, "log_dict", lambda self, figures, **_: logged.update(figures))
    with torch.no_grad():
        module.validation_step((torch.zeros(64, 4, 16, 16), torch.zeros(64, 77, 128)), 0)
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    timestep = torch.linspace(999, 1, 64).long()
    kept = (1 - beta).cumprod(0)[timestep]
    assert logged["val/loss"] == pytest.approx(float(kept.mean()), rel=0.02)
    assert logged["val/noise"] == pytest.approx(float(kept.square().mean()), rel=0.02)
    assert logged["val/loss_high_noise"] == pytest.approx(float(kept[timestep >= 800].mean()), rel=0.02)
    assert logged["val/noise_without_caption"] == logged["val/noise_other_caption"] == logged["val/noise"]


def test_a_third_of_the_training_is_at_the_timesteps_of_perception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timesteps are 1000 u^2, u uniform in [0, 1]: a share of sqrt(0.1) = 0.316 is below 100, the mean is 333."""
    config = json.loads((config_folder("tiny") / "unet" / "config.json").read_text())
    module = Denoiser(config, torch.zeros(1, 1), lr=1.0, weight_decay=0.0, caption_dropout=0.1)
    drawn: list[Tensor] = []

    def unet(noisy: Tensor, timestep: Tensor, tokens: Tensor) -> SimpleNamespace:
        drawn.append(timestep)
        return SimpleNamespace(sample=noisy)

    monkeypatch.setattr(module.unet, "forward", unet)
    monkeypatch.setattr(module, "log", lambda *args, **kwargs: None)
    torch.manual_seed(0)
    module.training_step((torch.zeros(20_000, 4, 1, 1), torch.zeros(20_000, 1, 1)), 0)
    assert float((drawn[0] < 100).float().mean()) == pytest.approx(0.1**0.5, abs=0.02)
    assert float(drawn[0].float().mean()) == pytest.approx(333, abs=10)
    assert 0 <= drawn[0].min() < 2
    assert 990 < drawn[0].max() < 1000
