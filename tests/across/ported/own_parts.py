"""Parts of one's own: an autograd Function, an optimizer, a schedule, hooks, a batch of unequal lengths."""

import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Function, gradcheck
from torch.autograd.function import once_differentiable
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.optimizer import Optimizer
from torch.utils.data import DataLoader, Dataset


class Swish(Function):
    @staticmethod
    def forward(ctx, x, beta):
        s = torch.sigmoid(beta * x)
        ctx.save_for_backward(x, s)
        ctx.beta = beta
        return x * s

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        x, s = ctx.saved_tensors
        grad_input = None
        if ctx.needs_input_grad[0]:
            grad_input = grad_output * (s + ctx.beta * x * s * (1 - s))
        return grad_input, None


class Quantize(Function):
    """Rounds forwards, lets the gradient through backwards where the input is within bounds."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.abs() <= 1)
        return torch.round(x * 4) / 4

    @staticmethod
    def backward(ctx, grad_output):
        (inside,) = ctx.saved_tensors
        return grad_output * inside


class Lion(Optimizer):
    """The sign of a mixture of the gradient and its running mean."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0):
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                exp_avg = state["exp_avg"]
                update = exp_avg.clone().mul_(beta1).add(p.grad, alpha=1 - beta1).sign_()
                p.add_(update, alpha=-group["lr"])
                exp_avg.mul_(beta2).add_(p.grad, alpha=1 - beta2)
        return loss


class Sequences(Dataset):
    def __init__(self, sequences, labels):
        self.sequences, self.labels = sequences, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return torch.as_tensor(self.sequences[i], dtype=torch.float32), self.labels[i]


def pad(batch):
    """Sequences of unequal lengths in one tensor, and where they are real."""
    longest = max(len(s) for s, _ in batch)
    x = torch.stack([F.pad(s, (0, 0, 0, longest - len(s))) for s, _ in batch])
    mask = torch.arange(longest)[None, :] < torch.tensor([len(s) for s, _ in batch])[:, None]
    return x, mask, torch.LongTensor([label for _, label in batch])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 16)
        self.query = nn.Parameter(torch.randn(16) / math.sqrt(16))
        self.fc2 = nn.Linear(16, 2)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x, mask):
        self.calls += 1
        h = Swish.apply(self.fc1(x), 1.5)
        weights = (h @ self.query).masked_fill(~mask, float("-inf")).softmax(dim=1)
        h = torch.einsum("btc,bt->bc", h, weights)
        return self.fc2(Quantize.apply(h))


def main(weights, sequences, labels):
    x = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    assert gradcheck(lambda x: Swish.apply(x, 0.7), (x,))

    net = Net()
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=False)
    average = copy.deepcopy(net)
    seen, norms = [], []
    hook = net.fc1.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
    net.query.register_hook(lambda grad: grad.clamp(-0.05, 0.05))
    decay = [p for name, p in net.named_parameters() if name.endswith("weight")]
    others = [p for name, p in net.named_parameters() if not name.endswith("weight")]
    optimizer = Lion([{"params": decay, "weight_decay": 0.01}, {"params": others}], lr=0.01)
    scheduler = LambdaLR(optimizer, lr_lambda=lambda epoch: 0.8**epoch)
    losses, rates = [], []
    for _ in range(4):
        for x, mask, y in DataLoader(Sequences(sequences, labels), batch_size=8, collate_fn=pad):

            def closure(x=x, mask=mask, y=y):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x, mask), y, label_smoothing=0.1)
                loss.backward()
                norms.append(nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0).item())
                return loss

            losses.append(optimizer.step(closure).item())
            with torch.no_grad():
                for slow, p in zip(average.parameters(), net.parameters(), strict=True):
                    slow.lerp_(p, 0.1)
        rates.append([group["lr"] for group in optimizer.param_groups])
        scheduler.step()
    hook.remove()
    return {
        "losses": losses,
        "norms": norms,
        "rates": rates,
        "seen": seen,
        "calls": net.calls.item(),
        "query": net.query.tolist(),
        "average": average.fc2.bias.tolist(),
        "state": sorted(optimizer.state_dict()["state"]),
    }
