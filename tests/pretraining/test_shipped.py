"""The packaged small model is pretrained: what it can do on scenes that it was never trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionModelWithProjection

from diffperc.backbones import StableDiffusionBackbone
from diffperc.encoders.clip_image import normalised
from diffperc.pretraining.clip import token_ids
from diffperc.pretraining.samples import draw
from diffperc.pretraining.unet import SCHEDULE
from diffperc.scenes import caption, render, sample_scene
from diffperc.weights.architecture import config_folder

TINY = config_folder("tiny")
# of 24,000 scenes of this seed the last 512 were held out
SEED, FIRST, COUNT = 7_000_001, 24_000 - 512, 64
Scenes = tuple[Tensor, list[str]]


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    """Images (64, 3, 128, 128) in [0, 1] and a sentence about each."""
    images, sentences = [], []
    for i in range(FIRST, FIRST + COUNT):
        scene = sample_scene(SEED, i)
        drawn = render(scene, (128, 128))
        images.append(torch.from_numpy(drawn.image.copy()).permute(2, 0, 1).float() / 255)
        sentences.append(caption(scene, drawn))
    return torch.stack(images), sentences


@torch.no_grad()
def test_clip_finds_the_caption_of_an_image(scenes: Scenes) -> None:
    images, sentences = scenes
    vision = CLIPVisionModelWithProjection.from_pretrained(TINY / "image_encoder", dtype=torch.float32).eval()
    text = CLIPTextModelWithProjection.from_pretrained(TINY / "text_encoder", dtype=torch.float32).eval()
    ids = token_ids(CLIPTokenizer.from_pretrained(TINY / "tokenizer"), sentences)
    vectors = F.normalize(vision(pixel_values=normalised(images)).image_embeds, dim=-1)
    words = F.normalize(text(input_ids=ids).text_embeds, dim=-1)
    right = (vectors @ words.T).argmax(1) == torch.arange(COUNT)
    assert right.float().mean() >= 0.8


@torch.no_grad()
def test_the_vae_reconstructs_images_from_latents_of_unit_variance(scenes: Scenes) -> None:
    images, _ = scenes
    vae = AutoencoderKL.from_pretrained(TINY / "vae").eval()
    latents = vae.encode(images * 2 - 1).latent_dist.mode()
    found = ((vae.decode(latents).sample + 1) / 2).clamp(0, 1)
    assert (-10 * (found - images).square().mean((1, 2, 3)).log10()).mean() >= 26
    assert latents.mean((0, 2, 3)).abs().max() < 0.3
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.2
    torch.testing.assert_close(StableDiffusionBackbone(pretrained="tiny").encode(images), latents)


@torch.no_grad()
def test_the_unet_uses_the_caption_to_remove_noise(scenes: Scenes) -> None:
    """At timestep 850 of 1000: the image's caption beats none, and none beats that of another image."""
    images, sentences = scenes
    backbone = StableDiffusionBackbone(pretrained="tiny").eval()
    unet = UNet2DConditionModel.from_pretrained(TINY / "unet").eval()
    beta = torch.linspace(SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - beta).cumprod(0)[850].float()
    latents = backbone.encode(images)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
    velocity = kept.sqrt() * noise - (1 - kept).sqrt() * latents
    encode = backbone.text_encoder().encode
    tokens = encode(sentences).tokens
    error = {
        name: float((unet(noisy, 850, given).sample - velocity).square().mean())
        for name, given in {
            "own": tokens,
            "none": encode([""] * COUNT).tokens,
            "another's": tokens.roll(1, 0),
        }.items()
    }
    assert error["own"] < 0.95 * error["none"] < 0.9 * error["another's"]
    # a constant prediction has an error of 1
    assert error["own"] < 0.75


def test_diffusers_draws_the_colours_of_a_caption() -> None:
    """Rooms whose walls are blue are bluer than rooms whose walls are red."""
    pipeline = StableDiffusionPipeline.from_pretrained(TINY)
    pipeline.set_progress_bar_config(disable=True)
    blue, red = (
        pipeline(
            [f"a room with {colour} walls and a gray floor"] * 4, height=128, width=128, num_inference_steps=15,
            guidance_scale=3.0, generator=torch.Generator().manual_seed(0), output_type="np",
        ).images for colour in ("blue", "red")
    )  # fmt: skip
    tint = np.stack([blue[..., 2] - blue[..., 0], red[..., 2] - red[..., 0]]).mean((1, 2, 3))
    assert tint[0] > tint[1] + 0.2


@torch.no_grad()
def test_of_several_images_the_one_most_similar_to_the_caption_is_kept() -> None:
    captions = ["a blue sofa in a hall", "a large green plant in a corridor"]
    vision = CLIPVisionModelWithProjection.from_pretrained(TINY / "image_encoder", dtype=torch.float32).eval()
    text = CLIPTextModelWithProjection.from_pretrained(TINY / "text_encoder", dtype=torch.float32).eval()
    words = text(input_ids=token_ids(CLIPTokenizer.from_pretrained(TINY / "tokenizer"), captions)).text_embeds
    first, best = (draw(TINY, captions, 128, draws) for draws in (1, 3))
    near = [F.cosine_similarity(vision(pixel_values=normalised(drawn)).image_embeds, words) for drawn in (first, best)]
    changed = (first != best).flatten(1).any(1)
    assert changed.any()
    assert torch.equal(near[1] > near[0] + 1e-4, changed)


@pytest.mark.parametrize("pretrained", ["tiny", None])
def test_the_random_control_is_the_same_network(pretrained: str | None) -> None:
    backbone = StableDiffusionBackbone(pretrained=pretrained, config="tiny")
    assert backbone.is_random == (pretrained is None)
    assert backbone.architecture == StableDiffusionBackbone(config="tiny", empty=True).architecture
    again = StableDiffusionBackbone(pretrained=pretrained, config="tiny")
    assert torch.equal(again.unet.conv_in.weight, backbone.unet.conv_in.weight) == (pretrained is not None)
