"""What in a run deserves a look: sentences that follow from its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from diffperc.reports.curves import Series, smoothed

_NO_BETTER = 0.97  # of the error of the best guess: learned nothing
_FELL = 0.9  # of the first training loss
_SPIKE = 4.0  # times the typical distance from the running mean
_WORSE = 1.05  # than at the best validation
_FAR = 8.0  # times a number of the recipe
Changed = Mapping[str, tuple[str, str]] | None
"""By key, the default and the value; None: not known."""
LEAKS = ("are in both splits", "are nearly the same as training images")
"""What the notes about a data set say, in `inspection`, where validation images are known from training."""
_RATES = ("recipe.lr", "recipe.batch_size", "recipe.weight_decay", "recipe.unet_lr")


def judged(
    summary: Mapping[str, Any],
    metrics: Mapping[str, Series],
    changed: Changed,
) -> Iterator[str]:
    """Sentences; those that begin with "Note: " name what is likely wrong.

    Args:
        summary: the content of ``summary.json``; empty for a run that has not ended.
        metrics: see `read_metrics`.
        changed: see `write_report`.
    """
    found = [
        *_unfinished(summary, metrics),
        *_against_the_guess(summary),
        *_training_loss(metrics),
        *_validations(summary, metrics),
        *_numbers(changed or {}),
        *_twins(summary),
    ]
    yield from found
    if not any(sentence.startswith("Note: ") for sentence in found):
        yield "Nothing in the curves, the configuration or the data looks wrong."


def _unfinished(summary: Mapping[str, Any], metrics: Mapping[str, Series]) -> Iterator[str]:
    if not summary:
        last = max((series[0][-1] for series in metrics.values()), default=0.0)
        yield (
            f"This run has not ended, or was stopped; the last step that was logged is {last:.0f}. If it is not running, "
            "train.log says why."
        )


def _against_the_guess(summary: Mapping[str, Any]) -> Iterator[str]:
    monitor = summary.get("monitor", "")
    value, guess = summary.get("metrics", {}).get(monitor), summary.get("baseline", {}).get(monitor)
    if value is None or guess is None:
        return
    # of scores of which 1 is the best, what is missing is compared
    wrong, guessed = (value, guess) if summary.get("direction", "min") == "min" else (1 - value, 1 - guess)
    share = wrong / guessed if guessed else math.inf
    numbers = f"{monitor} {value:.4g}, and {guess:.4g} for the best guess that does not look at the image"
    if share > _NO_BETTER:
        yield (
            f"Note: the model is no better than a guess: {numbers}. It has learned nothing that holds for new images. If "
            "the training loss fell, it learned the training images by heart, or the ground truth does not belong to them; "
            "if it did not, the learning rate is the first to look at."
        )
    else:
        yield f"The model is better than a guess: {numbers}."


def _training_loss(metrics: Mapping[str, Series]) -> Iterator[str]:
    if "train/loss" not in metrics or len(metrics["train/loss"][1]) < 5:
        return
    steps, values = metrics["train/loss"]
    if not np.isfinite(values).all():
        yield f"Note: the training loss is no number from step {steps[~np.isfinite(values)][0]:.0f} on."
        return
    tenth = max(1, len(values) // 10)
    first, last = float(values[:tenth].mean()), float(values[-tenth:].mean())
    if last > _FELL * first:
        yield (
            f"Note: the training loss hardly fell, from {first:.3g} to {last:.3g} (means of the first and the last tenth): "
            "the network does not learn its own training images. Too large a learning rate does that, and ground truth that "
            "has nothing to do with the images."
        )
    else:
        yield f"The training loss fell from {first:.3g} to {last:.3g} (means of the first and the last tenth)."
    after = values[tenth:]
    distance = after - smoothed(after)
    typical = float(np.median(np.abs(distance)))
    high = after[distance > _SPIKE * max(typical, 1e-12) + 2 * first]
    if len(high):
        jumps = f"jumped {len(high)} times, up to {high.max():.3g}"
        yield f"Note: the training loss {jumps}: the learning rate may be too large."


def _validations(summary: Mapping[str, Any], metrics: Mapping[str, Series]) -> Iterator[str]:
    monitor = summary.get("monitor", "")
    if monitor not in metrics or len(metrics[monitor][1]) < 3:
        return
    steps, values = metrics[monitor]
    smaller = summary.get("direction", "min") == "min"
    best = int(values.argmin() if smaller else values.argmax())
    at_best, at_end = (values[best], values[-1]) if smaller else (1 - values[best], 1 - values[-1])
    if best < len(values) - 1 and at_end > _WORSE * at_best:
        yield (
            f"Note: the best validation was at step {steps[best]:.0f} ({values[best]:.4g}), the last is worse "
            f"({values[-1]:.4g}): it learns the training images by heart from there on, or becomes unstable."
        )


def _numbers(changed: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for key in _RATES:
        if key not in changed:
            continue
        try:
            default, value = map(float, changed[key])
        except ValueError:
            continue
        ratio = value / default if default else math.inf
        if ratio > _FAR or ratio < 1 / _FAR:
            yield f"Note: {key} is {value:g}, {ratio:.3g} times the {default:g} that this task and backbone have by default."


def _twins(summary: Mapping[str, Any]) -> Iterator[str]:
    for note in summary.get("notes", []):
        if any(sign in note for sign in LEAKS):
            yield (
                f"Note: {note} The figures say nothing about new images then: the model may know the validation images by "
                "heart."
            )
