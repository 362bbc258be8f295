from __future__ import annotations

import pytest
from transformers import CLIPTokenizer

from diffperc.backbones import StableDiffusionBackbone
from diffperc.encoders import check_tokenizer, clip_tokenizer, imagenet_templates, name_embeddings, train_tokenizer
from diffperc.errors import WeightsError


def test_clips_tokenizer_gives_openais_ids() -> None:
    """Known encodings of CLIP's vocabulary of 49408 tokens."""
    tokenizer = check_tokenizer(clip_tokenizer(), 49408, "here")
    assert tokenizer("a photo of a cat")["input_ids"] == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("Hello, world!")["input_ids"] == [49406, 3306, 267, 1002, 256, 49407]


def test_a_tokenizer_without_files_is_refused(tmp_path: object) -> None:
    """transformers makes one of two or three tokens where it finds nothing, without a word."""
    with pytest.raises(WeightsError, match="missing or incomplete"):
        check_tokenizer(CLIPTokenizer(), 49408, "somewhere")


def test_a_tokenizer_has_the_words_it_was_trained_on() -> None:
    tokenizer = train_tokenizer(["A zebra and a giraffe", "two zebras, grazing"], 800)
    assert tokenizer.tokenize("Giraffe and two zebras") == ["giraffe</w>", "and</w>", "two</w>", "zebras</w>"]
    # any other word, too, in parts
    assert tokenizer.decode(tokenizer("a Bär")["input_ids"], skip_special_tokens=True) == "a bär"
    # 256 bytes, in and at the end of words, start and end
    assert len(train_tokenizer(["A zebra and a giraffe"], 3)) == 2 * 256 + 3 + 2


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
