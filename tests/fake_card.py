"""A CUDA card that is not there: tensors "on" it have shapes and types, and no values.

What is computed there costs nothing and is checked as on a real card: devices that do not match,
shapes, types and autocast. What comes back from the card is zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode, fake_tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("cuda", 0)
FREE_BYTES = 24 << 30

_META = torch.device("meta")


class _Card(FakeTensorMode):
    """Fakes what happens on the card, and leaves the rest to the machine's own memory.

    The C++ side of torch asks for a tensor's device to switch to it and to find its stream, and a
    torch without CUDA has neither. It is told the meta device, which is where fake tensors are;
    what it then wants to make there belongs on the card. Python sees the card.
    """

    def dispatch(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.ops.prim.device.default:
            return _META
        if func.name().startswith("aten::to.") and func._can_decompose():
            with self:  # In inference mode it comes whole.
                return func.decompose(*args, **kwargs)
        if kwargs.get("device") == _META:
            kwargs["device"] = DEVICE
        goal = kwargs.get("device")
        there = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, FakeTensor)]
        if not there and (goal is None or torch.device(goal).type != "cuda"):
            return func(*args, **kwargs)
        if func is torch.ops.aten._to_copy.default:
            source, dtype = args[0], kwargs.get("dtype") or args[0].dtype
            if not there:
                make = torch.ops.aten.empty_strided.default
                given = {"dtype": dtype, "device": DEVICE}
                return super().dispatch(make, types, (source.shape, source.stride()), given)
            if torch.device(goal or DEVICE).type == "cpu":
                return torch.zeros(source.shape, dtype=dtype)
        if func is torch.ops.aten.nonzero.default:  # As if everything were true.
            shape = (args[0].numel(), args[0].dim())
            given = {"dtype": torch.int64, "device": DEVICE}
            return super().dispatch(torch.ops.aten.empty.memory_format, types, (shape,), given)
        if func is torch.ops.aten._local_scalar_dense.default:
            return 0
        return super().dispatch(func, types, args, kwargs)


def _swap(first: torch.Tensor, second: torch.Tensor) -> None:
    """`torch.utils.swap_tensors` of two fake tensors, which their mode has weak references to."""
    kept = dict(first.__dict__)
    first.__dict__.clear()
    first.__dict__.update(second.__dict__)
    second.__dict__.clear()
    second.__dict__.update(kept)
    torch._C._swap_tensor_impl(first, second)


@contextmanager
def fake_card(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Inside the block, this machine has one card with bfloat16 and `FREE_BYTES` of free memory."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "mem_get_info", lambda *_: (FREE_BYTES, 2 * FREE_BYTES))
        patch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
        patch.setattr(torch.cuda, "synchronize", lambda *_: None)
        patch.setattr(torch.cuda, "get_rng_state", lambda *_: torch.zeros(16, dtype=torch.uint8))
        patch.setattr(torch.cuda, "set_rng_state", lambda *_: None)
        # autocast would turn itself off, with a warning.
        patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
        patch.setattr(torch.utils, "swap_tensors", _swap)
        handlers = fake_tensor._DISPATCH_META_HANDLERS
        patch.setitem(handlers, torch.ops.prim.device.default, lambda _: _META)
        with _Card(allow_non_fake_inputs=True):
            yield DEVICE
