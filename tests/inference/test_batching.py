"""Calls of several threads that run as one: the same results as alone, and nobody waits for nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from diffperc.checkpoints import load
from diffperc.commands.predict import predict_files
from diffperc.config.compose import composed
from diffperc.errors import DataError
from diffperc.inference.batching import Together, together
from diffperc.scenes import render, sample_scene
from diffperc.types import Batch

LONG = 1000.0  # seconds, longer than any test
SIZES = [(96, 128), (96, 128), (128, 96), (96, 128)]
PHOTOS = [render(sample_scene(41, i), size=size).image for i, size in enumerate(SIZES)]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "depth": [{}, {"scene": "bedroom"}, {}, {"flip": True}],
    "normals": [{}, {"flip": True}, {}, {}],
    "pose": [{}, {"boxes": [[10, 5, 50, 80], [60, 20, 40, 70]]}, {}, {"boxes": [[0, 0, 90, 90]]}],
    "referring": [{"expression": text} for text in ("the red box", "a sofa", "it", "the chair left of the big table")],
    "segmentation": [{}, {}, {}, {"flip": True}],
}


def numbers(result: Any) -> np.ndarray:
    """What is compared: probabilities where there are some, because a class may change by rounding alone."""
    return np.asarray(getattr(result, "probabilities", result))


@pytest.mark.parametrize("task", OPTIONS)
def test_results_together_are_those_of_single_calls(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(f"tiny-{task}", "cpu")
    predictor.model.pixels_at_once = 4 * 256 * 256
    alone = [numbers(predictor(photo, **options)) for photo, options in zip(PHOTOS, OPTIONS[task], strict=True)]
    counts, forward = [], predictor.model.forward

    def counted(batch: Batch) -> Any:
        counts.append(len(batch))
        return forward(batch)

    monkeypatch.setattr(predictor.model, "forward", counted)
    all_there = threading.Barrier(len(PHOTOS))
    with together(predictor, LONG) as shared, ThreadPoolExecutor(len(PHOTOS)) as pool:

        def predicted(photo: Any, options: dict[str, Any]) -> np.ndarray:
            with shared.caller():
                all_there.wait()
                return numbers(predictor(photo, **options))

        found = list(pool.map(predicted, PHOTOS, OPTIONS[task]))
    assert max(counts) > 2
    for one, other in zip(found, alone, strict=True):
        step = 2**-10 if other.dtype == np.float16 else 0  # the next number of half precision
        np.testing.assert_allclose(one, other, atol=1e-4 * float(np.ptp(other)), rtol=step)
    assert predictor.shared is None


class Network:
    """Answers with the mean of each image, and refuses an image that is all black."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, batch: Batch) -> Tensor:
        means = batch.image.mean((1, 2, 3), keepdim=True)
        self.seen.append(tuple(batch.image.shape))
        if (means == 0).any():
            raise ValueError("black")
        return means


def answers(shared: Together, batches: list[Batch]) -> list[list[float] | Exception]:
    """What threads get that call at the same time."""
    all_there = threading.Barrier(len(batches))

    def answer(batch: Batch) -> list[float] | Exception:
        with shared.caller():
            all_there.wait()
            try:
                return [round(float(value), 4) for value in shared(batch).flatten()]
            except ValueError as error:
                return error

    with ThreadPoolExecutor(len(batches)) as pool:
        return list(pool.map(answer, batches))


def grey(value: float, count: int = 1, size: int = 8, **known: Any) -> Batch:
    return Batch(torch.full((count, 3, size, size), value), **known)


def shared_by(network: Network, pixels: int = 10**6) -> Together:
    return Together(network, pixels, LONG)


def test_calls_of_equal_form_are_one_and_each_gets_its_part() -> None:
    network = Network()
    shared = shared_by(network)
    batches = [grey(0.1), grey(0.2, count=2), grey(0.3), grey(0.4, size=16), grey(0.5, caption=("a room",))]
    assert answers(shared, batches) == [[0.1], [0.2, 0.2], [0.3], [0.4], [0.5]]
    assert sorted(network.seen) == [(1, 3, 8, 8), (1, 3, 16, 16), (4, 3, 8, 8)]
    shared.close()


def test_no_more_pixels_are_joined_than_wanted() -> None:
    network = Network()
    shared = shared_by(network, pixels=2 * 8 * 8)
    assert answers(shared, [grey(0.1), grey(0.2), grey(0.3), grey(0.4, count=3)]) == [[0.1], [0.2], [0.3], [0.4] * 3]
    assert max(len(found) for found in answers(shared, [grey(0.5)] * 5) if isinstance(found, list)) == 1
    assert max(count for count, *_ in network.seen) == 3
    shared.close()


def test_an_error_is_that_of_its_caller_alone() -> None:
    shared = shared_by(Network())
    first, black, last = answers(shared, [grey(0.1), grey(0.0), grey(0.3)])
    assert (first, last) == ([0.1], [0.3])
    assert isinstance(black, ValueError)
    assert answers(shared, [grey(0.5)]) == [[0.5]]  # the thread lives
    shared.close()


def test_a_call_waits_for_nobody_who_cannot_come() -> None:
    """Each of these would wait for `LONG` otherwise."""
    shared = shared_by(Network())
    assert shared(grey(0.1)).item() == pytest.approx(0.1)
    entered, ended = threading.Event(), threading.Event()

    def leaves() -> None:
        with shared.caller():
            entered.set()
            ended.wait()

    other = threading.Thread(target=leaves)
    other.start()
    entered.wait()
    with shared.caller():
        threading.Timer(0.05, ended.set).start()
        assert shared(grey(0.2)).item() == pytest.approx(0.2)
    other.join()
    shared.close()
    with pytest.raises(RuntimeError, match="has ended"):
        shared(grey(0.1))


def test_a_wait_that_is_over_ends() -> None:
    """Although another active caller makes no call."""
    shared = Together(Network(), 10**6, 0.01)
    with shared.caller(), shared.caller():
        assert shared(grey(0.2)).item() == pytest.approx(0.2)
    shared.close()


def test_joined_batches_hold_what_each_knows() -> None:
    known = [grey(0.1, scene=torch.tensor([i]), expression=(f"the box {i}",)) for i in range(3)]
    joined = Batch.joined(known)
    assert len(joined) == 3
    assert joined.scene is not None
    assert joined.scene.tolist() == [0, 1, 2]
    assert joined.expression == ("the box 0", "the box 1", "the box 2")
    assert joined.caption is None
    assert known[0].form == known[1].form
    assert grey(0.1).form != known[0].form
    assert grey(0.1).form != grey(0.1, labels=torch.ones(1, 3, dtype=torch.bool)).form


def test_predict_writes_the_same_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "in"
    place.mkdir()
    for i, photo in enumerate([*PHOTOS, *PHOTOS]):
        Image.fromarray(photo).save(place / f"{i}.png")
    (place / "2b.png").write_bytes(b"no image")
    said: dict[int, tuple[list[str], str]] = {}
    for count in (1, 3):
        typed = ["ckpt=tiny-segmentation", f"input={place}", f"output={tmp_path}/out", "overwrite=true", "device=cpu"]
        with pytest.raises(DataError) as caught:
            predict_files(OmegaConf.create(composed("predict", [*typed, f"batch={count}"])))
        lines = [line for line in capsys.readouterr().out.splitlines() if " -> " in line]
        said[count] = (lines, caught.value.sentence)
        masks = [np.asarray(Image.open(tmp_path / f"out/{i}_mask.png")) for i in range(8)]
        if count == 1:
            alone = masks
    assert said[3] == said[1]
    assert len(said[1][0]) == 8
    assert all((a == b).mean() > 0.999 for a, b in zip(masks, alone, strict=True))
