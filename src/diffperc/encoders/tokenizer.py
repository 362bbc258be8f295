"""CLIP's byte-pair tokenizer, built from its merges alone, and the check that every loaded tokenizer must pass."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from importlib import resources

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from diffperc.errors import WeightsError

_START, _END = "<|startoftext|>", "<|endoftext|>"
# OpenAI's vocabulary: any tokenizer of this size must give these ids
OPENAI_TOKENS = 49408
_KNOWN = ("a photo of a cat", [49406, 320, 1125, 539, 320, 2368, 49407])


def _byte_symbols() -> list[str]:
    """The 256 printable symbols that stand for the bytes, in the order of CLIP's ids: printable bytes first."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = range(256, 512 - len(printable))
    return [*map(chr, printable), *map(chr, others)]


def tokenizer_from_merges(merges: Sequence[str]) -> CLIPTokenizer:
    """A CLIP tokenizer from its byte-pair merges, each ``"left right"``.

    The ids follow CLIP's rule: 256 byte symbols, the same with an end-of-word mark, one id per merge, start, end.
    """
    symbols = _byte_symbols()
    word_ends = [symbol + "</w>" for symbol in symbols]
    pairs = [tuple(merge.split()) for merge in merges]
    tokens = [*symbols, *word_ends, *map("".join, pairs), _START, _END]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=77)


def train_tokenizer(sentences: Iterable[str], merges: int) -> CLIPTokenizer:
    """A CLIP tokenizer whose words are those of some sentences; the same sentences give the same tokenizer.

    Args:
        sentences: to learn from.
        merges: the highest number of byte-pair merges; there are fewer where every word is a token of its own before.
    """
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    # as CLIP's: lower case; letters, single digits, or runs of other signs
    bpe.normalizer = normalizers.Lowercase()
    words = pre_tokenizers.Split(Regex(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=512 + merges,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator(sentences, trainer)
    found = [" ".join(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    return tokenizer_from_merges(found[:merges])


def token_config(tokenizer: CLIPTokenizer) -> dict[str, int]:
    """The fields of a text encoder's config that describe its tokenizer."""
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def clip_tokenizer() -> CLIPTokenizer:
    """The tokenizer of OpenAI's CLIP, from the merges in this package: no network and no files are needed."""
    packed = resources.files("diffperc.assets").joinpath("clip_merges.txt.gz").read_bytes()
    return tokenizer_from_merges(gzip.decompress(packed).decode().splitlines())


def merges_of(tokenizer: CLIPTokenizer) -> list[str]:
    """The byte-pair merges a tokenizer was built from, each ``"left right"``; `tokenizer_from_merges` is the inverse."""
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    return [m if isinstance(m, str) else " ".join(m) for m in merges]


def check_tokenizer(tokenizer: CLIPTokenizer, vocabulary: int, where: str) -> CLIPTokenizer:
    """Return the tokenizer if it can be that of a text encoder.

    Where transformers finds no files it returns a tokenizer of two or three tokens, without a warning.

    Args:
        tokenizer: to be checked.
        vocabulary: number of rows of the text encoder's embedding table.
        where: the source, for messages.

    Raises:
        WeightsError: the size differs, or a known sentence has other ids.
    """
    if len(tokenizer) != vocabulary:
        raise WeightsError(
            f"{where}: the tokenizer has {len(tokenizer)} tokens, the text encoder {vocabulary}; "
            "the folder 'tokenizer' (vocab.json and merges.txt, or tokenizer.json) is missing or incomplete."
        )
    ids = list(tokenizer(_KNOWN[0])["input_ids"])
    wrong = ids != _KNOWN[1] if vocabulary == OPENAI_TOKENS else len(ids) < 7
    if wrong:
        raise WeightsError(f"{where}: the tokenizer encodes '{_KNOWN[0]}' as {ids}; its files are damaged.")
    return tokenizer
