from __future__ import annotations

import dataclasses

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.errors import TrainingError
from diffperc.heads import DeconvHead
from diffperc.model import PerceptionModel
from diffperc.nn.fit import PadFit
from diffperc.strategies import IEDP
from diffperc.tasks import DepthTask
from diffperc.types import Batch, DatasetInfo, Prediction, SampleMeta


@pytest.fixture
def task(backbone: StableDiffusionBackbone, info: DatasetInfo) -> DepthTask:
    strategy = IEDP(backbone, info, queries=4)
    strategy.initialise(backbone)
    head = DeconvHead(strategy.out_spec, 1, neck_channels=32, filters=8, channels=8)
    model = PerceptionModel(backbone, strategy, head, PadFit(), DepthTask.output(info))
    return DepthTask(model=model, info=info)


def test_the_loss_is_the_weighted_sum_of_the_branches(task: DepthTask, batch: Batch) -> None:
    a, b = torch.full_like(batch.targets["depth"], 2.0), torch.full_like(batch.targets["depth"], 3.0)
    prediction = Prediction(a, 1.0, (("explicit", 0.25, b),))
    expected = task.loss(a, batch) + 0.25 * task.loss(b, batch)
    torch.testing.assert_close(task.total_loss(prediction, batch), expected)


def test_a_loss_that_is_no_number_names_the_batch(task: DepthTask, batch: Batch) -> None:
    bad = dataclasses.replace(
        batch,
        image=batch.image * torch.nan,
        meta=tuple(SampleMeta(f"img{i}.jpg", (64, 128)) for i in range(3)),
    )
    with pytest.raises(TrainingError, match=r"the loss is nan at step 0. The batch was: img0.jpg, img1.jpg, img2.jpg"):
        task.train().training_step(bad, 0)


def test_the_evaluation_is_at_the_truths_size(task: DepthTask, batch: Batch) -> None:
    """The network saw a smaller image; the prediction is brought to the size of the truth."""
    small = dataclasses.replace(batch, image=batch.image[..., ::2, ::2])
    with torch.no_grad():
        assert task.eval().predict_batch(small).shape == batch.targets["depth"].shape


def test_pictures_share_the_truths_scale(task: DepthTask, batch: Batch) -> None:
    """A perfect prediction is drawn like its truth, and its error is black wherever there is truth."""
    panels = dict(task.panels(batch, batch.targets["depth"], 1))
    assert len(panels) == 4
    image, truth, prediction, error = panels.values()
    assert torch.equal(torch.from_numpy(image).permute(2, 0, 1), (batch.image[1] * 255).round().byte())
    assert (truth[5:] == prediction[5:]).all()
    assert (truth[:5] == 0).all()  # nothing was measured there
    assert (error == error[-1, -1]).all() or error.max() < 10
