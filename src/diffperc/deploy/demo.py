"""A web page to try models on, by Gradio: an image in, the result with its confidence and its attention out."""

from __future__ import annotations

import functools
import html
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import gradio as gr

from diffperc.errors import DiffPercError
from diffperc.inference.predictor import Predictor
from diffperc.models import attention_by_name
from diffperc.scenes import render, sample_scene
from diffperc.types import Picture
from diffperc.visualization.colours import Scale
from diffperc.visualization.html import embedded
from diffperc.visualization.images import image_of
from diffperc.visualization.maps import enlarged, heat

_EXAMPLES = (3, 5, 8, 12)  # scenes
_SEED = 2027  # of which no model has seen any
_SIDE = 320  # pixels, to which small images are enlarged
_BOX = (213, 94, 0)
STYLE = """
.words span.word { display: inline-block; padding: 2px 9px; margin: 3px; border: 1px solid #b6bcc6; border-radius: 12px;
  cursor: default; }
.words span.word:hover, .words span.word:focus { background: #0b5cad; color: #fff; outline: none; }
.words span.word img { display: none; position: absolute; left: 0; bottom: 0; width: 320px;
  max-width: 100%; z-index: 2; }
.words span.word:hover img, .words span.word:focus img { display: block; }
.words { position: relative; padding-bottom: 340px; }
"""


def demo(models: Mapping[str, Callable[[], Predictor]], expression: str = "the sofa") -> Any:
    """The page, a ``gradio.Blocks`` to be launched.

    Args:
        models: by the name that is shown, what loads each.
        expression: with which a model that reads sentences begins.

    """
    loaded = functools.cache(lambda name: models[name]())
    names = list(models)
    downloads = tempfile.TemporaryDirectory(prefix="diffperc")  # gone when the page is
    examples = [render(sample_scene(_SEED, index)).image for index in _EXAMPLES]

    def options_of(name: str) -> list[Any]:
        """What this model is asked beside the image, as updates of the page."""
        predictor = loaded(name)
        passes = getattr(predictor.model.strategy, "steps", 1)
        scenes = ["unknown", *predictor.info.scenes] if "scene" in predictor.options else []
        return [
            gr.update(visible="expression" in predictor.options),
            gr.update(visible=bool(scenes), choices=scenes, value="unknown" if scenes else None),
            gr.update(visible=passes > 1, maximum=max(2, passes), value=passes),
            gr.update(visible="boxes" in predictor.options),
        ]

    def predicted(
        name: str,
        image: Picture | None,
        sentence: str,
        scene: str | None,
        passes: float,
        corners: list[Any],
        clean: Picture | None,
    ) -> tuple[Any, ...]:
        """Everything below the image."""
        image = image if clean is None else clean
        if image is None:
            raise gr.Error("Choose an image first: upload one, take one, or click on an example.")
        predictor = loaded(name)
        given: dict[str, Any] = {}
        if "expression" in predictor.options:
            given["expression"] = sentence
        if "scene" in predictor.options and scene not in (None, "unknown"):
            given["scene"] = scene
        if "boxes" in predictor.options and len(corners) > 1:
            given["boxes"] = boxes_of(corners)
        try:
            result = predictor(image, **given)
            batch, seen = predictor.observe(image, **given)
        except DiffPercError as error:
            raise gr.Error(error.sentence) from error
        drawn = result.picture(_SIDE)
        if int(passes) < len(seen.dense):
            drawn = enlarged(predictor.draw(batch, seen.dense[int(passes) - 1]), _SIDE)
        words = "<p>This strategy does not attend to named tokens.</p>"
        if seen.passes and len(seen.names) > 1:
            words = hovered(attention_by_name(predictor.model, batch, seen), image_of(batch, 0))
        files = [str(file) for file in result.save(tempfile.mkdtemp(dir=downloads.name))]
        scale = result.confidence_scale()
        certain = None if scale is None else enlarged(scale.draw(result.confidence), _SIDE)
        return drawn, gr.update(value=certain, visible=certain is not None), result.summary, words, files

    with gr.Blocks(title="diffperc", analytics_enabled=False) as page:
        gr.Markdown("# diffperc\nA text-to-image diffusion model that perceives. Choose a model and an image.")
        # of boxes that are being drawn, and the image without them
        corners, clean = gr.State([]), gr.State(None)
        with gr.Row():
            with gr.Column(min_width=300):
                model = gr.Dropdown(names, value=names[0], label="Model", elem_id="model", visible=len(names) > 1)
                image = gr.Image(
                    label="Image",
                    type="numpy",
                    image_mode="RGB",
                    sources=["upload", "webcam", "clipboard"],
                    elem_id="image",
                )
                chosen = gr.Examples([[example] for example in examples], [image], label="Examples", elem_id="examples")
                sentence = gr.Textbox(expression, label="What to find", elem_id="expression", visible=False)
                scene = gr.Dropdown([], label="Scene", visible=False)
                passes = gr.Slider(1, 2, value=1, step=1, label="Result after pass", visible=False, elem_id="passes")
                boxes = gr.Markdown(
                    "Click two opposite corners of each person; without them, the whole image is one person.",
                    visible=False,
                )
                run = gr.Button("Predict", variant="primary", elem_id="run")
            with gr.Column(min_width=300):
                found = gr.Image(label="Result", interactive=False, buttons=["fullscreen"], elem_id="result")
                summary = gr.Textbox(label="Found", interactive=False, elem_id="summary")
                certain = gr.Image(
                    label="Confidence: bright is certain",
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="confidence",
                )
                files = gr.File(label="Download", elem_id="files")
        gr.Markdown("### Attention\nPoint at a word to see where the image attends to it.")
        words = gr.HTML(elem_id="attention")
        asked = [sentence, scene, passes, boxes]
        model.change(options_of, [model], asked)
        page.load(options_of, [model], asked)

        def clicked(
            name: str, picture: Picture, known: list[Any], before: Picture | None, event: gr.SelectData
        ) -> tuple[Any, Any, Any]:
            if "boxes" not in loaded(name).options:
                return gr.skip(), known, before
            original = picture if before is None else before
            known = [*known, (int(event.index[0]), int(event.index[1]))]
            return with_boxes(original, known), known, original

        image.select(clicked, [model, image, corners, clean], [image, corners, clean])
        for other in (image.upload, image.clear, chosen.dataset.click, model.change):
            other(lambda: ([], None), None, [corners, clean])
        arguments = [model, image, sentence, scene, passes, corners, clean]
        results = [found, certain, summary, words, files]
        for event in (run.click, sentence.submit):
            event(predicted, arguments, results)
    return page


def boxes_of(corners: Sequence[tuple[int, int]]) -> list[list[float]]:
    """Boxes (x, y, width, height) of pairs of opposite corners, in pixels; a corner without its other one is left out."""
    boxes = []
    for (x0, y0), (x1, y1) in zip(corners[::2], corners[1::2], strict=False):
        boxes.append([float(min(x0, x1)), float(min(y0, y1)), float(abs(x1 - x0)), float(abs(y1 - y0))])
    return boxes


def with_boxes(image: Picture, corners: Sequence[tuple[int, int]]) -> Picture:
    """The image with the boxes of corners drawn."""
    drawn = image.copy()
    for x, y, width, height in boxes_of(corners):
        far = (int(x + width), int(y + height))
        cv2.rectangle(drawn, (int(x), int(y)), far, _BOX, max(1, min(image.shape[:2]) // 200))
    if len(corners) % 2:  # the opposite one is still to come
        cv2.circle(drawn, corners[-1], max(2, min(image.shape[:2]) // 80), _BOX, -1)
    return drawn


def hovered(attention: Mapping[int, Mapping[str, Any]], image: Picture) -> str:
    """Words, each with its attention map over the image, which shows where the pointer is; no script is needed."""
    stride = min(attention)
    pixels = enlarged(image, _SIDE)
    words = []
    for name, values in attention[stride].items():
        scale = Scale(float(values.min()), float(values.max()))
        shown = embedded(heat(pixels, values, scale)).source
        text = html.escape(name)
        words.append(
            f'<span class="word" tabindex="0">{text}<img src="{shown}" alt="where the image attends to {text}"></span>'
        )
    return f'<div class="words">{"".join(words)}</div>'
