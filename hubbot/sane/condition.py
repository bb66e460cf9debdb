"""BatchNorm conditioning: a made model's running statistics, measured on the data that it is to be used on.

A model that was drawn has a prompt's BatchNorm statistics, or drawn ones, and its layers see something else.
So each BatchNorm sees a few batches and takes their means and variances; no weight changes.
`zoo.cnn.nets.Net.conditioned` does the same to many small nets at once, which are rows of numbers there and
no modules.

Source: arXiv 2406.09997, section 3.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Batch = Tensor | Mapping[str, Any]
"""What a module is called with: pictures, or arguments by name as processors of transformers give them."""


@torch.no_grad()
def condition(module: nn.Module, batches: Iterable[Batch]) -> None:
    """Measure the running statistics of a module's BatchNorms anew, each batch counting alike.

    Everything else, dropout for one, is in evaluation mode meanwhile. Afterwards every mode is what it was,
    and so are the statistics if a batch cannot be gone through.

    Raises:
        ValueError: there are no batches.
    """
    norms = [one for one in module.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    modes = [(one, one.training) for one in module.modules()]
    momenta = [norm.momentum for norm in norms]
    statistics = [{name: value.clone() for name, value in norm.named_buffers()} for norm in norms]
    module.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches, where a number would forget the first of them
            norm.train()
        seen = False
        for batch in batches:
            module(**batch) if isinstance(batch, Mapping) else module(batch)
            seen = True
        if not seen:
            raise ValueError("there are no batches to measure on")
    except BaseException:
        for norm, before in zip(norms, statistics, strict=True):
            norm.load_state_dict(before, strict=False)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for one, training in modes:
            one.training = training
