from __future__ import annotations

import math

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from diffperc.backbones import StableDiffusionBackbone
from diffperc.types import Conditioning
from tests.contracts.backbone import BackboneContract


class TestStableDiffusion(BackboneContract):
    backbone = StableDiffusionBackbone
    overrides = {"config": "tiny"}  # noqa: RUF012


def conditioning(backbone: StableDiffusionBackbone, b: int = 2, n: int = 7) -> Conditioning:
    tokens = torch.randn(b, n, backbone.token_dim, generator=torch.Generator().manual_seed(1))
    return Conditioning(tokens, timestep=torch.tensor([1, 500])[:b])


def latents(b: int = 2, h: int = 16, w: int = 8) -> torch.Tensor:
    return torch.randn(b, 4, h, w, generator=torch.Generator().manual_seed(2))


def test_the_walk_is_the_unets_own_forward_pass(backbone: StableDiffusionBackbone) -> None:
    """The finest map through the output layers is what diffusers' forward gives, with its own attention."""
    with torch.no_grad():
        features = backbone.extract(latents(), conditioning(backbone))
        ours = backbone.to_latents(features)
        backbone.unet.set_attn_processor(AttnProcessor2_0())
        given = conditioning(backbone)
        theirs = backbone.unet(latents(), given.timestep, given.tokens).sample
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert theirs.std() > 0.01


def test_maps_are_those_of_the_taps(backbone: StableDiffusionBackbone) -> None:
    """methods.md 0.4: outputs of up_blocks[0].resnets[1], [1].attentions[1], [2].attentions[1], and the last layer."""
    seen: dict[str, torch.Tensor] = {}
    up = backbone.unet.up_blocks
    taps = {"3": up[0].resnets[1], "2": up[1].attentions[1], "1": up[2].attentions[1], "0": up[3].attentions[-1]}
    for name, module in taps.items():
        module.register_forward_hook(
            lambda m, i, o, name=name: seen.__setitem__(name, o[0] if isinstance(o, tuple) else o)
        )
    with torch.no_grad():
        features = backbone.extract(latents(), conditioning(backbone))
    for i, (stride, channels) in enumerate(zip(backbone.spec.strides, backbone.spec.channels, strict=True)):
        assert torch.equal(features.maps[i], seen[str(i)])
        assert features.maps[i].shape == (2, channels, 128 // stride, 64 // stride)


def test_attention_maps_equal_the_formula(backbone: StableDiffusionBackbone) -> None:
    """Mean over heads and over the down and up layers of a stride of softmax(Q K^T / sqrt(d)), by hand."""
    given = conditioning(backbone)
    inputs: list[tuple[torch.nn.Module, torch.Tensor]] = []
    for block in (backbone.unet.down_blocks[1], backbone.unet.up_blocks[2]):
        for transformer in block.attentions:
            attn = transformer.transformer_blocks[0].attn2
            attn.register_forward_pre_hook(lambda m, a: inputs.append((m, a[0])))
    with torch.no_grad():
        features = backbone.extract(latents(), given, attention=[16])
        expected = []
        for attn, hidden in inputs:
            q, k = attn.to_q(hidden), attn.to_k(given.tokens)
            d = q.shape[-1] // attn.heads
            heads = []
            for head in range(attn.heads):
                part = slice(head * d, (head + 1) * d)
                heads.append((q[..., part] @ k[..., part].mT / math.sqrt(d)).softmax(-1))
            expected.append(torch.stack(heads).mean(0).mT.reshape(2, 7, 8, 4))
    assert len(expected) == 3  # one layer down, two up
    assert list(features.attention) == [16]
    torch.testing.assert_close(features.attention[16], torch.stack(expected).mean(0), rtol=1e-4, atol=1e-6)


def test_one_token_is_a_constant_whatever_queries_and_keys_are(backbone: StableDiffusionBackbone) -> None:
    given = conditioning(backbone, n=1)
    with torch.no_grad():
        before = backbone.extract(latents(), given)
        # the general path, by asking for probabilities
        general = backbone.extract(latents(), given, attention=[8, 16, 32])
        for parameter in backbone.parts["attention_scores"]:
            parameter.mul_(-3)
        after = backbone.extract(latents(), given)
    assert torch.equal(before.maps[0], after.maps[0])
    torch.testing.assert_close(before.maps[0], general.maps[0], rtol=1e-4, atol=1e-5)


def test_a_time_embedding_stands_in_for_the_timestep(backbone: StableDiffusionBackbone) -> None:
    given = conditioning(backbone)
    with torch.no_grad():
        embedding = backbone.unet.time_embedding(backbone.unet.time_proj(given.timestep))
        a = backbone.extract(latents(), given)
        b = backbone.extract(latents(), Conditioning(given.tokens, time_embedding=embedding))
        c = backbone.extract(latents(), Conditioning(given.tokens, time_embedding=embedding + 1))
    assert torch.equal(a.maps[0], b.maps[0])
    assert (a.maps[0] - c.maps[0]).abs().max() > 1e-3


def test_odd_latents_work(backbone: StableDiffusionBackbone) -> None:
    """13 x 9 cells: skips are resized where halving and doubling disagree."""
    with torch.no_grad():
        features = backbone.extract(latents(2, 13, 9), conditioning(backbone))
    assert all(torch.isfinite(m).all() for m in features.maps)


def test_checkpointing_gives_the_same_gradients() -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        backbone = StableDiffusionBackbone(config="tiny", gradient_checkpointing=checkpointing).train()
        features = backbone.extract(latents(), conditioning(backbone), attention=[16])
        assert features.attention[16].shape[1] == 7
        (features.maps[0].square().mean() + features.attention[16].square().mean()).backward()
        gradients.append([p.grad for p in backbone.unet.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 100
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_latents_are_the_posterior_mean_without_scale_and_without_gradient(backbone: StableDiffusionBackbone) -> None:
    image = torch.rand(2, 3, 64, 32)
    found = backbone.train().encode(image)
    moments = backbone.vae.quant_conv(backbone.vae.encoder(image * 2 - 1))
    torch.testing.assert_close(found, moments[:, :4])
    assert not found.requires_grad
    assert not backbone.vae.training


def test_parts_are_every_parameter_once_and_train_only_obeys(backbone: StableDiffusionBackbone) -> None:
    together = [p for parameters in backbone.parts.values() for p in parameters]
    assert {id(p) for p in together} == {id(p) for p in backbone.unet.parameters()}
    assert len(together) == len({id(p) for p in together})
    backbone.train_only(["output"])
    trained = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert trained == {f"unet.{m}.{k}" for m in ("conv_norm_out", "conv_out") for k in ("weight", "bias")}
    with pytest.raises(ValueError, match=r"unknown backbone parts \['nothing'\]"):
        backbone.train_only(["nothing"])


def test_a_frozen_backbone_trains_nothing() -> None:
    backbone = StableDiffusionBackbone(config="tiny", frozen=True)
    backbone.train_only(["features", "output"])
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone.extract(latents(), conditioning(backbone)).maps[0].requires_grad


def test_wrong_shapes_are_refused_with_both_shapes(backbone: StableDiffusionBackbone) -> None:
    with pytest.raises(ValueError, match=r"Conditioning.tokens must be \(B, N, D\) with B=2, D=128, got \(2, 7, 64\)"):
        backbone.extract(latents(), Conditioning(torch.zeros(2, 7, 64), timestep=torch.ones(2)))
    with pytest.raises(ValueError, match="multiples of 8"):
        backbone.encode(torch.zeros(1, 3, 60, 64))
    with pytest.raises(ValueError, match="attention strides"):
        backbone.extract(latents(), conditioning(backbone), attention=[64])


def test_random_weights_are_logged_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    StableDiffusionBackbone(config="tiny")
    assert "RANDOM weights" in caplog.text


@pytest.mark.parametrize(("name", "width", "channels"), [("sd15", 768, 1280), ("sd21", 1024, 1280)])
def test_shipped_architectures_have_the_published_sizes(name: str, width: int, channels: int) -> None:
    backbone = StableDiffusionBackbone(config=name, empty=True)
    assert (backbone.token_dim, backbone.time_dim, backbone.multiple) == (width, 1280, 64)
    assert backbone.spec.channels == (320, 640, channels, channels)
    assert backbone.spec.strides == (8, 16, 32, 64)
    if name == "sd15":
        # users.md 3.4: 859.52 M and 34.16 M
        assert sum(p.numel() for p in backbone.unet.parameters()) == 859_520_964
        assert round(sum(p.numel() for p in backbone.vae.parameters()) / 1e6, 2) == 34.16
