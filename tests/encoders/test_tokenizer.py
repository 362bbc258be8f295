from __future__ import annotations

import pytest
from transformers import CLIPTokenizer

from diffperc.encoders import check_tokenizer, clip_tokenizer, train_tokenizer
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
