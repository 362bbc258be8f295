from __future__ import annotations

from diffperc.backbones import StableDiffusionBackbone
from diffperc.encoders import imagenet_templates, name_embeddings


def test_there_are_80_templates_each_with_one_place() -> None:
    templates = imagenet_templates()
    assert len(templates) == len(set(templates)) == 80
    assert all(t.count("{}") == 1 for t in templates)
    assert "a photo of a {}." in templates


def test_name_embeddings_average_over_templates(backbone: StableDiffusionBackbone) -> None:
    encoder = backbone.text_encoder()
    both = name_embeddings(encoder, ["dining_room", "hall"], ["a {}", "the {}"])
    one = encoder.encode(["a dining room"], 20).pooled + encoder.encode(["the dining room"], 20).pooled
    assert both.shape == (2, backbone.token_dim)
    assert (both[0] - one[0] / 2).abs().max() < 1e-5
