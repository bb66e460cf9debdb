"""BatchNorm conditioning measures the batches that it is shown, and leaves everything else as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hubbot.sane.condition import condition


class Small(nn.Module):
    """What its BatchNorms see is kept; there is dropout between them, and a third that has no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4, momentum=0.3)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 36, 5)
        self.last = nn.BatchNorm1d(5)
        self.forgetful = nn.BatchNorm1d(5, track_running_stats=False)
        self.seen: dict[str, list[Tensor]] = {"norm": [], "last": []}

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.seen["norm"].append(x)
        x = self.fc(self.drop(self.norm(x)).flatten(1))
        self.seen["last"].append(x)
        return self.forgetful(self.last(x))


def net() -> tuple[Small, list[Tensor]]:
    torch.manual_seed(0)
    made = Small()
    for norm in (made.norm, made.last):
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.weight)
    return made, [3 + torch.randn(20, 1, 8, 8), torch.randn(20, 1, 8, 8) - 1, 2 * torch.randn(20, 1, 8, 8)]


def states(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_statistics_are_means_over_the_batches_and_no_weight_changes():
    module, batches = net()
    module.train()
    module.fc.eval()  # an owner's own choice
    before = states(module)
    condition(module, iter(batches))
    after = module.state_dict()
    for name in ("norm", "last"):
        seen = [x.transpose(0, 1).flatten(1) for x in module.seen[name]]
        for which, expected in (
            ("mean", torch.stack([x.mean(1) for x in seen]).mean(0)),
            ("var", torch.stack([x.var(1) for x in seen]).mean(0)),
        ):
            torch.testing.assert_close(after[f"{name}.running_{which}"], expected)
            assert not torch.allclose(before[f"{name}.running_{which}"], expected)
    for name, weight in module.named_parameters():
        assert torch.equal(weight, before[name])
        assert weight.grad is None
    assert module.norm.momentum == 0.3
    assert not module.fc.training
    assert module.training
    assert module.drop.training


def test_dropout_is_off_meanwhile():
    module, batches = net()
    condition(module, batches)
    first = states(module)
    condition(module, batches)
    assert all(torch.equal(first[name], value) for name, value in module.state_dict().items())


def test_what_cannot_be_gone_through_changes_nothing():
    module, batches = net()
    module.eval()
    before = states(module)
    with pytest.raises(RuntimeError):
        condition(module, [batches[0], torch.zeros(2, 7, 8, 8)])
    with pytest.raises(ValueError, match="no batches"):
        condition(module, [])
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.norm.momentum == 0.3
    assert not any(one.training for one in module.modules())
