"""What a training will need, from its configuration alone: no weights are read, and nothing large is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from diffperc.engine.optimizer import OptimizerRecipe, PowerOneCycle
from diffperc.engine.precision import DTYPES
from diffperc.models import PerceptionModel
from diffperc.types import Batch

_SAMPLE = 1 << 14


@dataclass
class Stage:
    """A part of the forward pass: a layer of the UNet, or what is between two of them.

    Attributes:
        is_layer: whether gradient checkpointing computes it again.
        saved: bytes of tensors that the backward pass reads.
        casts: bytes of weights in the precision of autocast, which the backward pass reads too.
        output: bytes of its result, with the results that skip the next layers.
        gradients: bytes of the gradients of the weights that it is the first to use.
    """

    is_layer: bool = False
    saved: int = 0
    casts: int = 0
    output: int = 0
    gradients: int = 0


@dataclass(frozen=True)
class TrainingCost:
    """Of one process, in bytes on its device.

    Attributes:
        weights: parameters and buffers.
        gradients: of trained parameters; 0 where weights are updated in the backward pass.
        optimizer: its averages.
        activations: kept from the forward pass for the backward pass, with casts of weights.
        peak: the largest sum; gradients take the place of activations in the backward pass.
        flops: floating-point operations of the forward and backward pass of a batch.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    peak: int
    flops: int


def training_cost(
    model: PerceptionModel, optimizer: OptimizerRecipe, batch: Batch, precision: str, step_in_backward: bool = False
) -> TrainingCost:
    """The memory and work of a training step, apart from libraries, data and the driver of a GPU.

    Args:
        model: on the meta device; its tensors are replaced.
        optimizer: of its parameters.
        batch: of one process, of the shapes of training; its numbers do not matter.
        precision: see `training_precision`.
        step_in_backward: see `StepInBackward`.
    """
    dtype = DTYPES.get(precision, torch.float32)
    backbone: Any = model.backbone
    checkpointing, backbone.gradient_checkpointing = getattr(backbone, "gradient_checkpointing", False), False
    with FakeTensorMode(allow_non_fake_inputs=True):
        _make_fake(model, dtype)
        image = torch.zeros(batch.image.shape, dtype=dtype)
        fake = Batch(image, scene=batch.scene, labels=batch.labels, expression=batch.expression, caption=batch.caption)
        flops = FlopCounterMode(display=False)
        autocast = torch.autocast("cpu", torch.bfloat16) if precision.endswith("-mixed") else nullcontext()
        stages = _stages(model, fake, flops, autocast)
    trained = [p for p in model.parameters() if p.requires_grad]
    weights = _bytes([*model.parameters(), *model.buffers()])
    states = int(_state_bytes(optimizer, dtype) * sum(p.numel() for p in trained))
    gradients = 0 if step_in_backward else _bytes(trained)
    activations, peak = _backward_peak(stages, checkpointing, step_in_backward)
    return TrainingCost(
        weights, gradients, states, activations, weights + states + peak, _work(model, flops, checkpointing)
    )


def _make_fake(model: nn.Module, dtype: torch.dtype) -> None:
    """Give every parameter and buffer a size on the CPU, and no memory."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                empty = torch.empty(parameter.shape, dtype=dtype)
                module._parameters[name] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(
                    buffer.shape, dtype=dtype if buffer.is_floating_point() else buffer.dtype
                )


def _stages(
    model: PerceptionModel, batch: Batch, flops: FlopCounterMode, autocast: AbstractContextManager[Any]
) -> list[Stage]:
    """Run the forward pass of training, and note what is saved where."""
    stages = [Stage()]
    own = {tensor.untyped_storage()._cdata for tensor in [*model.parameters(), *model.buffers()]}
    # autocast keeps its copies of trained weights until the step ends, and makes those of others at every use
    counts = {p.numel() for p in model.parameters() if p.ndim > 1 and p.requires_grad}
    seen: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own and storage._cdata not in seen:
            seen[storage._cdata] = tensor  # so that no other takes its place
            if tensor.dtype == torch.bfloat16 and tensor.numel() in counts and precision_differs:
                stages[-1].casts += storage.nbytes()
            else:
                stages[-1].saved += storage.nbytes()
        return tensor

    precision_differs = any(p.dtype == torch.float32 for p in model.parameters())
    handles = list(_hooks(model, stages))
    model.train()
    try:
        with flops, autocast, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return stages


def _hooks(model: PerceptionModel, stages: list[Stage]) -> Iterator[Any]:
    """Begin a stage at each layer of the UNet and after it, note its output, and where weights are first used."""
    unet: Any = getattr(model.backbone, "unet", None)
    blocks = [] if unet is None else [*unet.down_blocks, *unet.up_blocks]
    counted: set[int] = set()

    def begin(is_layer: bool) -> Any:
        def hook(*_: Any) -> None:
            stages.append(Stage(is_layer))

        return hook

    def end(module: nn.Module, given: Any, result: Any) -> None:
        first = result[0] if isinstance(result, tuple) else result
        stages[-1].output += first.nbytes

    def use(module: nn.Module, *_: Any) -> None:
        new = [p for p in module.parameters(recurse=False) if p.requires_grad and id(p) not in counted]
        counted.update(map(id, new))
        stages[-1].gradients += _bytes(new)

    for block in blocks:
        attentions = list(getattr(block, "attentions", None) or ())
        for resnet in block.resnets:
            yield resnet.register_forward_pre_hook(begin(True))
        for last in attentions or block.resnets:
            yield last.register_forward_hook(end)
        samplers = [*(getattr(block, "downsamplers", None) or ()), *(getattr(block, "upsamplers", None) or ())]
        for sampler in samplers:
            yield sampler.register_forward_pre_hook(begin(False))
    if unet is not None and unet.mid_block is not None:
        yield unet.mid_block.resnets[0].register_forward_pre_hook(begin(False))
    yield model.head.register_forward_pre_hook(begin(False))
    for module in model.modules():
        if next(module.parameters(recurse=False), None) is not None:
            yield module.register_forward_pre_hook(use)


def _backward_peak(stages: list[Stage], checkpointing: bool, step_in_backward: bool) -> tuple[int, int]:
    """Activations after the forward pass, and the largest sum of activations and gradients from there on."""
    held = [stage.casts + (stage.output if checkpointing and stage.is_layer else stage.saved) for stage in stages]
    activations = now = peak = sum(held)
    for stage, own in zip(reversed(stages), reversed(held), strict=True):
        again = stage.saved if checkpointing and stage.is_layer else 0
        # while it is computed: gradients of its weights, its result and its input
        peak = max(peak, now + again + 2 * stage.output + stage.gradients)
        now += (0 if step_in_backward else stage.gradients) - own
    return activations, max(peak, now)


def _work(model: PerceptionModel, flops: FlopCounterMode, checkpointing: bool) -> int:
    """Of the forward pass, of gradients of inputs and of weights where something is trained, and of layers again."""
    counts = flops.get_flop_counts()

    def of(part: str) -> int:
        return sum(sum(operations.values()) for name, operations in counts.items() if name.endswith(part))

    backbone: Any = model.backbone
    whole, frozen, rest = sum(counts["Global"].values()), of("backbone.vae.encoder"), of(".head")
    unet = whole - frozen - rest
    learns = any(p.requires_grad for p in backbone.parameters())
    full = learns and not getattr(backbone, "has_lora", False)
    return whole + 2 * rest + unet * (learns + full + (checkpointing and learns))


def _state_bytes(optimizer: OptimizerRecipe, dtype: torch.dtype) -> float:
    """Bytes that an optimiser keeps per weight: asked of it by a step."""
    weight = nn.Parameter(torch.zeros(_SAMPLE, dtype=dtype))
    alone = OptimizerRecipe(optimizer.lr, 0.0, PowerOneCycle(0.0), optimizer=optimizer.optimizer)
    made, _ = alone.build([("weight", weight)], 1)
    weight.grad = torch.ones_like(weight)
    made.step()
    return _bytes(v for v in made.state[weight].values() if isinstance(v, Tensor) and v.numel() > 1) / _SAMPLE


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
