"""A first hour with PyTorch: tensors, autograd, a network, a classifier, saving and loading."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset


def tensors():
    data = [[1, 2], [3, 4]]
    x = torch.tensor(data)
    same = torch.ones_like(x)
    assert same.dtype == x.dtype == torch.int64
    t = torch.ones(4, 4)
    t[:, 1] = 0
    t1 = torch.cat([t, t, t], dim=1)
    product = t * t
    matrix = t @ t.T
    assert torch.equal(t.matmul(t.T), matrix)
    t.add_(5)
    n = t.numpy()
    t[0, 0] = 9.0
    assert n[0, 0] == 9.0
    a = np.ones(5)
    b = torch.from_numpy(a)
    np.add(a, 1, out=a)
    return {
        "cat": t1.tolist(),
        "shape": tuple(t1.shape),
        "product": product.tolist(),
        "matrix": matrix.tolist(),
        "first row": t[0].tolist(),
        "last column": t[..., -1].tolist(),
        "bridge": b.tolist(),
        "view": torch.arange(16).view(-1, 8).size(),
        "reduced": [t.sum().item(), t.mean().item(), t.std().item(), t.max().item()],
        "picked": t[t > 5.5].tolist(),
    }


def derivatives():
    x = torch.ones(2, 2, requires_grad=True)
    y = x + 2
    z = y * y * 3
    out = z.mean()
    assert out.grad_fn is not None
    assert x.is_leaf
    out.backward()
    gradient = x.grad.clone()
    x.grad.zero_()

    v = torch.tensor([[0.1, 1.0], [2.0, -0.5]])
    w = x * 2
    while w.data.norm() < 1000:
        w = w * 2
    w.backward(v)
    with torch.no_grad():
        assert not (x**2).requires_grad
    assert x.detach().eq(x).all()

    a = torch.tensor([2.0, 3.0], requires_grad=True)
    b = torch.tensor([6.0, 4.0], requires_grad=True)
    q = 3 * a**3 - b**2
    q.backward(gradient=torch.tensor([1.0, 1.0]))
    assert torch.equal(9 * a**2, a.grad)
    assert torch.equal(-2 * b, b.grad)
    return {"mean": gradient.tolist(), "doubled": x.grad.tolist(), "a": a.grad.tolist(), "b": b.grad.tolist()}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(12, 24)
        self.fc2 = nn.Linear(24, 16)
        self.fc3 = nn.Linear(16, 4)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = F.relu(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        return self.fc3(x)


def one_step_by_hand(net, x):
    """A step with the update written out, as before one meets ``torch.optim``."""
    output = net(x)
    target = torch.linspace(-1, 1, output.numel()).view(output.shape)
    loss = nn.MSELoss()(output, target)
    net.zero_grad()
    loss.backward()
    learning_rate = 0.01
    for f in net.parameters():
        f.data.sub_(f.grad.data * learning_rate)
    return loss.item(), nn.MSELoss()(net(x), target).item()


def main(weights, inputs, labels, path):
    net = Net()
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    by_hand = one_step_by_hand(net, x)

    trainloader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=False)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for epoch in range(4):
        running_loss = 0.0
        for i, data in enumerate(trainloader, 0):
            samples, targets = data
            optimizer.zero_grad()
            outputs = net(samples)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if i % 2 == 1:
                print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 2:.3f}")
                losses.append(running_loss / 2)
                running_loss = 0.0

    torch.save(net.state_dict(), path)
    again = Net()
    again.load_state_dict(torch.load(path, weights_only=True))
    again.eval()
    correct, total = 0, 0
    with torch.no_grad():
        for samples, targets in trainloader:
            outputs = again(samples)
            _, predicted = torch.max(outputs, 1)
            total += targets.size(0)
            correct += (predicted == targets).sum().item()
    return {
        "tensors": tensors(),
        "derivatives": derivatives(),
        "by hand": by_hand,
        "losses": losses,
        "correct": correct,
        "total": total,
        "keys": list(net.state_dict()),
    }
