"""Train the tokenizer of `backbone=tiny` on the sentences of the embedded scenes and write it into the package.

Run once, from the top of a checkout; a new run is needed only when their words change.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from diffperc.encoders import imagenet_templates, token_config, train_tokenizer
from diffperc.scenes import CLASSES, COLOURS, ROOMS, caption, expressions, render, sample_scene
from diffperc.types.keypoints import COCO_KEYPOINTS

TINY = Path(__file__).resolve().parent.parent / "src/diffperc/assets/models/tiny"


def sentences(scenes: int) -> Iterator[str]:
    """Captions, referring expressions, and the templates filled with every name they may meet."""
    for index in range(scenes):
        scene = sample_scene(0, index)
        drawn = render(scene, (64, 64))
        yield caption(scene, drawn)
        yield from (expression.text for expression in expressions(scene, drawn))
    keypoints = (name.replace("_", " ") for name in COCO_KEYPOINTS.names)
    for name in (*CLASSES, *ROOMS, *COLOURS, *keypoints):
        yield from (template.format(name.replace("_", " ")) for template in imagenet_templates())


def main() -> None:
    """Train, check, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--merges", type=int, default=800)
    arguments = parser.parse_args()
    tokenizer = train_tokenizer(sentences(arguments.scenes), arguments.merges)
    tokenizer.save_pretrained(str(TINY / "tokenizer"))
    config = TINY / "text_encoder" / "config.json"
    values = json.loads(config.read_text()) | token_config(tokenizer)
    config.write_text(json.dumps(values, indent=2) + "\n")
    print(f"{len(tokenizer)} tokens")
    for sample in ("a photo of a person", "the red box left of the sofa", "the person in the striped cyan shirt"):
        print(f"'{sample}' -> {tokenizer.tokenize(sample)}")


if __name__ == "__main__":
    main()
