"""What every backbone must do."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from diffperc.backbones import Backbone
from diffperc.types import Conditioning, Features

HEIGHT, WIDTH = 64, 128


class BackboneContract:
    """Attributes: `backbone` and its `overrides`, with which it is small and random."""

    backbone: ClassVar[type[Backbone]]
    overrides: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def built(self) -> Backbone:
        torch.manual_seed(0)
        return self.backbone(**self.overrides).eval()

    @pytest.fixture
    def image(self) -> Tensor:
        return torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))

    def given(self, built: Backbone, tokens: int = 5) -> Conditioning:
        generator = torch.Generator().manual_seed(2)
        return Conditioning(torch.randn(2, tokens, built.token_dim, generator=generator), torch.tensor([1, 500]))

    def test_maps_are_what_was_announced(self, built: Backbone, image: Tensor) -> None:
        assert HEIGHT % built.multiple == 0
        with torch.no_grad():
            maps = built.extract(built.encode(image), self.given(built)).maps
        expected = zip(built.spec.channels, built.spec.strides, strict=True)
        assert [m.shape for m in maps] == [(2, c, HEIGHT // s, WIDTH // s) for c, s in expected]

    def test_encoding_has_no_gradient_and_refuses_odd_sides(self, built: Backbone, image: Tensor) -> None:
        latents = built.train().encode(image.requires_grad_())
        assert latents.shape[1] == built.latent_channels
        assert not latents.requires_grad
        with pytest.raises(ValueError, match="multiples of"):
            built.encode(image[..., :-1])

    def test_attention_is_a_distribution_and_changes_no_feature(self, built: Backbone, image: Tensor) -> None:
        with torch.no_grad():
            latents = built.encode(image)
            plain = built.extract(latents, self.given(built))
            asked = built.extract(latents, self.given(built), built.attention_strides)
        assert plain.attention == {}
        assert tuple(sorted(asked.attention)) == built.attention_strides
        for stride, maps in asked.attention.items():
            assert maps.shape == (2, 5, HEIGHT // stride, WIDTH // stride)
            torch.testing.assert_close(maps.sum(1), torch.ones_like(maps[:, 0]))
        for a, b in zip(plain.maps, asked.maps, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        with pytest.raises(ValueError, match="attention strides"):
            built.extract(latents, self.given(built), [3])

    def test_image_tokens_and_time_count(self, built: Backbone, image: Tensor) -> None:
        with torch.no_grad():
            latents, given = built.encode(image), self.given(built)
            first = built.extract(latents, given)
            others = (
                built.extract(built.encode(image.flip(-1)), given),
                built.extract(latents, Conditioning(given.tokens.flip(-1), given.timestep)),
                built.extract(latents, Conditioning(given.tokens, torch.tensor([700, 900]))),
                built.extract(latents, Conditioning(given.tokens, time_embedding=torch.randn(2, built.time_dim))),
            )
        for other in others:
            for a, b in zip(first.maps, other.maps, strict=True):
                assert (a - b).abs().max() > 1e-4

    def test_a_sample_does_not_depend_on_its_batch_mates(self, built: Backbone, image: Tensor) -> None:
        given = self.given(built)
        assert given.timestep is not None
        with torch.no_grad():
            both = built.extract(built.encode(image), given)
            alone = built.extract(built.encode(image[1:]), Conditioning(given.tokens[1:], given.timestep[1:]))
        for a, b in zip(both.maps, alone.maps, strict=True):
            torch.testing.assert_close(a[1:], b, rtol=1e-3, atol=1e-4)

    def test_feedback_has_the_shape_of_latents(self, built: Backbone, image: Tensor) -> None:
        with torch.no_grad():
            latents = built.encode(image)
            fed = built.to_latents(built.extract(latents, self.given(built)))
        assert fed.shape == latents.shape

    def test_each_part_gets_a_gradient_where_it_is_used(self, built: Backbone, image: Tensor) -> None:
        assert {"features", "time_embedding", "attention_scores", "output"} <= set(built.parts)
        built.train().train_only(built.parts)
        features = built.extract(built.encode(image), self.given(built))
        self.loss(features, built.to_latents(features)).backward()
        for part, parameters in built.parts.items():
            assert parameters, part
            assert all(p.grad is not None and p.grad.abs().max() > 0 for p in parameters), part

    def loss(self, features: Features, fed: Tensor) -> Tensor:
        return torch.stack([m.square().mean() for m in (*features.maps, fed)]).sum()

    def test_parts_do_not_overlap_and_can_be_frozen(self, built: Backbone) -> None:
        named = [id(p) for parameters in built.parts.values() for p in parameters]
        assert len(named) == len(set(named))
        built.train_only(["features"])
        trained = {id(p) for p in built.parameters() if p.requires_grad}
        assert trained == {id(p) for p in built.parts["features"]}
        with pytest.raises(ValueError, match="unknown backbone parts"):
            built.train_only(["nothing"])

    def test_state_dict_and_architecture_alone_restore_it(self, built: Backbone, image: Tensor) -> None:
        torch.manual_seed(99)
        other = self.backbone(config=built.architecture, empty=True).eval()  # type: ignore[call-arg]
        other.load_state_dict(built.state_dict(), assign=True)
        with torch.no_grad():
            mine, theirs = (b.extract(b.encode(image), self.given(b)) for b in (built, other))
        for a, b in zip(mine.maps, theirs.maps, strict=True):
            torch.testing.assert_close(a, b)

    def test_text_becomes_tokens_of_its_width(self, built: Backbone) -> None:
        assert built.text_encoder().encode(["a red cup"], 8).tokens.shape == (1, 8, built.token_dim)
        assert built.expression_encoder(6)(["a red cup", "a lamp"]).shape == (2, 6, built.token_dim)
