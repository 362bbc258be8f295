"""What a model looked at: one image, one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from diffperc.inference.predictor import Predictor
from diffperc.models import Observation, attention_by_name, token_groups
from diffperc.results.base import Result
from diffperc.types import Batch, Features, Picture
from diffperc.visualization.colours import Scale
from diffperc.visualization.html import Chart, Section, chart, embedded, page
from diffperc.visualization.images import image_of
from diffperc.visualization.maps import enlarged, heat, principal_components

_MAPS = 12  # of tokens or channels, those that stand out most
_SIDE, _RESULT = 256, 320  # pixels, to which small images are enlarged, and the result among them
_HIGHEST = 99.5  # percentile of a map that has the colour of the end


@torch.inference_mode()
def explanation(
    predictor: Predictor, image: Picture, result: Result, name: str, options: Mapping[str, Any], leave_out: int
) -> str:
    """A self-contained page: the result, attention by token, what each token contributes, features, refinement.

    Args:
        predictor: of the image.
        image: (H, W, 3) uint8 RGB.
        result: what the predictor found.
        name: of the image, for the title.
        options: of the call.
        leave_out: so many tokens, those with the most attention, are left out one at a time; 0: none.
    """
    batch, seen = predictor.observe(image, **options)
    pixels = enlarged(image_of(batch, 0), _SIDE)
    drawn = result.picture(_RESULT)
    views = [embedded(image, "image", small=False), embedded(drawn, result.summary, small=False, exact=True)]
    certain = result.confidence_scale()
    if certain is not None:
        said = f"confidence, {certain.low:.2f} (dark) to {certain.high:.2f} (bright)"
        views.append(embedded(certain.draw(result.confidence), said, small=False))
    trust = "The confidence orders pixels by how far the result is to be trusted. It is not a probability."
    sections = [Section("Result", [views, trust])]
    if seen.passes:
        sections += [
            Section("Attention", _attention(predictor, batch, seen, pixels)),
            Section("What each token contributes", _contributions(predictor, batch, seen, pixels, leave_out)),
            Section("Features of the UNet", _features(predictor, batch, seen)),
        ]
    sections += [Section("What the head reads", _readouts(predictor, batch, seen, pixels))]
    if len(seen.dense) > 1:
        sections.append(Section("Refinement, pass by pass", _refinement(predictor, batch, seen)))
    task, strategy = (type(part).__name__ for part in (predictor, predictor.model.strategy))
    subtitle = (
        f"{task.removesuffix('Predictor')}, strategy {strategy}, trained on {predictor.info.name}. {result.summary}"
    )
    return page(f"What the model saw in {name}", subtitle, sections)


def _attention(predictor: Predictor, batch: Batch, seen: Observation, pixels: Picture) -> list[Any]:
    groups = token_groups(seen.names)
    if len(seen.names) == 1:
        return [
            f"The UNet is conditioned by one token, “{seen.names[0]}”: every place of the image attends to it alone."
        ]
    if not groups:
        return ["This strategy does not name its tokens."]
    maps = attention_by_name(predictor.model, batch, seen)
    blocks: list[Any] = [
        "How much of its attention each place of the image gives to a token, in the UNet's last pass, averaged over heads "
        "and layers of one stride. Bright is the token's own highest share, which stands below it."
    ]
    for stride, by_name in maps.items():
        order = _standing_out(by_name)
        blocks.append(f"Stride {stride}: one cell is {stride} x {stride} pixels." + _left_out(order, by_name))
        tiles = []
        for name in order:
            scale = Scale(float(by_name[name].min()), float(np.percentile(by_name[name], _HIGHEST)))
            drawn = heat(pixels, by_name[name], scale)
            tiles.append(embedded(drawn, f"“{name}”, {scale.low:.0%} to {scale.high:.0%}"))
        blocks.append(tiles)
    return blocks


def _contributions(
    predictor: Predictor,
    batch: Batch,
    seen: Observation,
    pixels: Picture,
    count: int,
) -> list[Any]:
    groups = token_groups(seen.names)
    if not count or not groups:
        return ["No token was left out (leave_out=0)." if groups else "This strategy does not name its tokens."]
    shares = _mean_attention(seen, groups)
    order = sorted(groups, key=lambda name: -shares[name])[:count]
    changes = {}
    for name, without in zip(order, predictor.model.observe_each(batch, (groups[name] for name in order)), strict=True):
        changes[name] = predictor.change(seen.dense[-1], without.dense[-1])[0].float().cpu().numpy()
    means = {name: float(each.mean()) for name, each in changes.items()}
    order.sort(key=lambda name: -means[name])
    scale = Scale(
        0.0, max(float(np.percentile(each, _HIGHEST)) for each in changes.values()), predictor.change_unit, "magma"
    )
    tiles = [
        embedded(
            heat(pixels, changes[name], scale),
            f"without “{name}”: {_number(means[name], predictor.change_unit)} on average",
        )
        for name in order[:_MAPS]
    ]
    return [
        "Each token in turn is replaced by the mean of the others, as if it said nothing, and the result is computed again. "
        f"Of {len(groups)} tokens, the {len(order)} with the most attention are tried. The maps show where the result "
        f"moves; all have the same colours, white is {_number(scale.high, predictor.change_unit)}.",
        _bars(order, means, predictor.change_unit),
        tiles,
    ]


def _features(predictor: Predictor, batch: Batch, seen: Observation) -> list[Any]:
    features = predictor.model.fit.restore(seen.passes[-1].features, batch.size)
    tiles = [
        embedded(
            enlarged(principal_components(each[0].float().cpu().numpy()), _SIDE),
            f"stride {stride}, {each.shape[1]} channels",
        )
        for stride, each in zip(features.spec.strides, features.maps, strict=True)
    ]
    return [
        "The first three principal components of the channels, as red, green and blue: alike is coloured alike.",
        tiles,
    ]


def _readouts(predictor: Predictor, batch: Batch, seen: Observation, pixels: Picture) -> list[Any]:
    features: Features = predictor.model.fit.restore(seen.readouts[-1], batch.size)
    named = len(seen.names) == features.spec.channels[0]
    each = features.maps[0][0].float().cpu().numpy()
    by_name = {seen.names[i] if named else f"channel {i + 1}": each[i] for i in range(len(each))}
    order = _standing_out(by_name)
    tiles = []
    for name in order:
        scale = Scale(
            float(np.percentile(by_name[name], 100 - _HIGHEST)), float(np.percentile(by_name[name], _HIGHEST))
        )
        tiles.append(embedded(heat(pixels, by_name[name], scale), f"{name}, {scale.low:.2f} to {scale.high:.2f}"))
    what = "the readout of each prompt" if named else "its channels"
    return [f"The finest map that the head gets, {what}: those that vary most." + _left_out(order, by_name), tiles]


def _refinement(predictor: Predictor, batch: Batch, seen: Observation) -> list[Any]:
    tiles = []
    for i, dense in enumerate(seen.dense):
        moved = "" if not i else f", moved by {_moved(predictor, dense, seen.dense[i - 1])} on average"
        tiles.append(embedded(enlarged(predictor.draw(batch, dense), _SIDE), f"pass {i + 1}{moved}"))
    return [
        "What the model would answer if it ended after each pass of the UNet. Passes before the last are only as good as "
        "their readout was trained to be, see strategy.supervise_steps.",
        tiles,
    ]


def _moved(predictor: Predictor, dense: Tensor, before: Tensor) -> str:
    return _number(float(predictor.change(dense, before).mean()), predictor.change_unit)


def _mean_attention(seen: Observation, groups: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """The share of attention that each token gets, averaged over the image and the strides of the last pass."""
    maps = seen.passes[-1].features.attention.values()
    mean = torch.stack([each[0].float().mean((-1, -2)) for each in maps]).mean(0).cpu().numpy()
    return {name: float(mean[list(tokens)].sum()) for name, tokens in groups.items()}


def _standing_out(by_name: Mapping[str, Any]) -> list[str]:
    """The names whose maps vary most over the image, in their own order."""
    largest = sorted(by_name, key=lambda name: -float(by_name[name].std()))[:_MAPS]
    return [name for name in by_name if name in set(largest)]


def _left_out(order: Sequence[str], by_name: Mapping[str, Any]) -> str:
    return f" The {len(order)} of {len(by_name)} that vary most are shown." if len(order) < len(by_name) else ""


def _bars(order: Sequence[str], means: Mapping[str, float], unit: str) -> Chart:
    figure = Figure(figsize=(5.2, 0.6 + 0.24 * len(order)))
    axes = figure.subplots()
    axes.barh(range(len(order)), [means[name] for name in order], color="#0072b2", height=0.7)
    axes.set_yticks(range(len(order)), labels=[name[:40] for name in order], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel(f"mean change of the result without it{f', {unit}' if unit else ''}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return chart(figure)


def _number(value: float, unit: str) -> str:
    return f"{value:.1f}{unit}" if unit == "°" else f"{value:.3f} {unit}".strip()
