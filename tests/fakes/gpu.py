"""Every task and strategy on a GPU that is not there: ``python -m tests.fakes.gpu bf16 depth [strategy ...]``.

FakeTensorMode propagates shapes, dtypes and devices and computes nothing. Device ``gpu:0`` is torch's PrivateUse1
backend made in Python, whose guard does nothing, so that autograd works; with ``cuda`` a build for the CPU aborts in
autograd. CUDA's lists of autocast are registered for it below. A tensor made on the CPU in a step, operands of two
dtypes, a buffer that ``.to`` misses, a trainable parameter without gradient: all raise. Prints one line per pair: the
step, and ``ok`` or what was raised where.

It changes torch for the whole process; tests start it as one of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from diffperc.engine.build import build_task
from diffperc.types import Batch
from tests.helpers import batch_of, composed, names, prepared

DEVICE = "gpu:0"
DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALL = ("dataset.size=[64,64]", "dataset.train_size=4", "dataset.val_size=4", "backbone=tiny")
# CUDA's policy (torch's documentation, "CUDA Ops that can autocast to float16 / float32")
LOW = (
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d.input conv_transpose3d.input linear matmul mm bmm mv dot addmm "
    "addmv addr addbmm baddbmm einsum scaled_dot_product_attention prelu"
)
HIGH = (
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow.Tensor_Scalar pow.Tensor_Tensor "
    "pow.Scalar softplus layer_norm group_norm norm.Scalar cosine_similarity nll_loss nll_loss2d cross_entropy_loss kl_div "
    "l1_loss smooth_l1_loss mse_loss cdist logsumexp softmax.int log_softmax.int cumprod cumsum sum sum.dim_IntList prod"
)
_KEYS = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)


def _policy(op: Any, high: bool) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        def cast(value: Any) -> Any:
            casts = isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64
            return value.to(to) if casts else value

        with torch._C._ExcludeDispatchKeyGuard(_KEYS):
            to = torch.float32 if high else torch.get_autocast_dtype("gpu")
            return op(*tree_map(cast, args), **tree_map(cast, kwargs))

    return run


def install() -> list[torch.library.Library]:
    """Make the device, its autocast, and tensors of numbers on it; what is returned must be kept."""
    _setup_privateuseone_for_python_backend("gpu")
    rest = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    rest.fallback(torch.library.fallthrough_kernel)
    library = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for ops, high in ((LOW, False), (HIGH, True)):
        for name in ops.split():
            base, _, overload = name.partition(".")
            library.impl(name, _policy(getattr(getattr(torch.ops.aten, base), overload or "default"), high))
    torch.tensor, torch.Tensor.new_tensor = _made, _new  # type: ignore[assignment, method-assign]
    torch.Tensor.__bool__, torch.Tensor.__getitem__ = _is_true, _item  # type: ignore[method-assign]
    return [rest, library]


@contextlib.contextmanager
def autocast(dtype: torch.dtype | None) -> Iterator[None]:
    if dtype is None:
        yield
        return
    torch.set_autocast_dtype("gpu", dtype)
    torch.set_autocast_enabled("gpu", True)
    try:
        yield
    finally:
        torch.set_autocast_enabled("gpu", False)


# numbers of Python on a device: torch builds them on the CPU and copies, outside of the mode; here inside
_tensor, _bool, _getitem = torch.tensor, torch.Tensor.__bool__, torch.Tensor.__getitem__


def _made(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
    made = _tensor(data, *args, **kwargs)
    if isinstance(made, FakeTensor):
        made.constant = None  # a known number would be copied for real
    return made if device is None else made.to(device)


def _new(self: torch.Tensor, data: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> torch.Tensor:
    return _made(data, dtype=dtype or self.dtype, device=device or self.device)


def _is_true(self: torch.Tensor) -> bool:
    is_flag = isinstance(self, FakeTensor) and self.dtype == torch.bool and self.numel() == 1
    return True if is_flag else _bool(self)


def _item(self: torch.Tensor, index: Any) -> torch.Tensor:
    """A list of numbers as an index becomes a tensor in C++, outside of the mode."""

    def one(part: Any) -> Any:
        return _made(part, device=self.device) if isinstance(part, list) else part

    if not isinstance(self, FakeTensor):
        return _getitem(self, index)
    return _getitem(self, tuple(map(one, index)) if isinstance(index, tuple) else one(index))


Real = tuple[Any, dict[str, Batch]]


def built(name: str, strategy: str) -> Real:
    """A pair on the CPU: the task, and a batch of each split; before `install`, which upsets loading."""
    cfg = composed(f"task={name}", f"strategy={strategy}", *SMALL)
    sets = {split: prepared(cfg, split) for split in ("train", "val")}
    real = {split: batch_of(data, 2) for split, data in sets.items()}
    task = build_task(cfg, sets["train"].dataset.info)
    task.prepare_scores(sets["val"].dataset)
    return task, real


def check(pair: Real, dtype: torch.dtype | None) -> dict[str, str]:
    """Forward, loss, backward, prediction and scores; by step, ``ok`` or what was raised."""
    task, real = pair
    mode = FakeTensorMode(allow_non_fake_inputs=False, shape_env=ShapeEnv(), static_shapes=True)

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        with unset_fake_temporarily():
            tensor = tensor.detach()
        with mode:
            return mode.from_tensor(tensor).to(DEVICE)

    task.scores._apply(moved)
    for module in task.modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[key] = torch.nn.Parameter(moved(parameter), requires_grad=parameter.requires_grad)
        for key, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[key] = moved(buffer)
    found: dict[str, str] = {}

    def attempt(what: str, run: Callable[[], Any]) -> Any:
        try:
            result = run()
        except (DataDependentOutputException, DynamicOutputShapeException):
            found[what] = "depends on values, which are not there"
        except Exception as error:
            if "data-dependent" in str(error):
                found[what] = "depends on values, which are not there"
                return None
            frames = [f for f in traceback.extract_tb(error.__traceback__) if "/diffperc/" in f.filename]
            place = f"{frames[-1].filename.split('/src/')[-1]}:{frames[-1].lineno}" if frames else "?"
            found[what] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]} at {place}"
        else:
            found[what] = "ok"
            return result
        return None

    def on_device(tensor: torch.Tensor) -> torch.Tensor:
        if str(tensor.device) != DEVICE:
            raise AssertionError(f"is on {tensor.device}")
        return tensor

    with mode:
        batches = {split: batch.map(mode.from_tensor).to(DEVICE) for split, batch in real.items()}
        _training(task, batches["train"], dtype, attempt, on_device)
        task.eval()

        def predict() -> torch.Tensor:
            with torch.inference_mode(), autocast(dtype):
                return on_device(task.predict_batch(batches["val"]))

        dense = attempt("predict", predict)
        if dense is not None:

            def score() -> None:
                with torch.inference_mode(), autocast(dtype):
                    task.score(dense, batches["val"])

            attempt("score", score)
    return found


def _training(task: Any, batch: Batch, dtype: Any, attempt: Any, on_device: Any) -> None:
    task.train()

    def forward() -> Any:
        with autocast(dtype):
            prediction = task.model(batch)
        for branch in (prediction, *prediction.extras):
            on_device(branch.dense)
        return prediction

    prediction = attempt("forward", forward)
    if prediction is None:
        return

    def loss_of() -> torch.Tensor:
        with autocast(dtype):
            return on_device(task.total_loss(prediction, batch))

    loss = attempt("loss", loss_of)

    def backward() -> None:
        branches = (prediction, *prediction.extras)
        (loss if loss is not None else sum(b.dense.float().square().mean() for b in branches)).backward()
        trained = {n: p for n, p in task.named_parameters() if p.requires_grad}
        missing = [n for n, p in trained.items() if p.grad is None]
        if missing:
            raise AssertionError(f"{len(missing)} trainable parameters have no gradient: {missing[:3]}")
        for n, p in trained.items():
            if on_device(p.grad).dtype != p.dtype:
                raise AssertionError(f"{n} has a gradient in {p.grad.dtype}")

    attempt("backward", backward)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    precision, chosen, *rest = sys.argv[1:]
    pairs = {strategy: built(chosen, strategy) for strategy in rest or names("strategy")}
    kept = install()
    for strategy, pair in pairs.items():
        print(json.dumps([chosen, strategy, precision, check(pair, DTYPES[precision])]), flush=True)
