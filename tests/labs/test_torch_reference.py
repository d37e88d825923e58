"""Lab 5's networks in PyTorch alone: what is printed, and what is refused."""

from __future__ import annotations

import re

import pytest
import torch_reference
from op_suite import torch


@pytest.fixture(autouse=True)
def _one_thread_of_torch(_one_thread):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def printed(capsys, *argv):
    assert torch_reference.main([*argv, "--quick"]) == 0
    return capsys.readouterr().out


def test_each_seed_is_trained_to_the_end_and_judged_by_the_test_images(capsys):
    text = printed(capsys, "mnist-fc", "--seeds", "3", "4")
    assert "made-up images" in text
    epochs = [float(value) for value in re.findall(r"epoch \d: test accuracy (\S+),", text)]
    ends = [(float(best), float(last)) for best, last in re.findall(r"seed \d: best (\S+) .*last (\S+)", text)]
    assert ends == [(max(epochs[:2]), epochs[1]), (max(epochs[2:]), epochs[3])]
    assert min(last for _, last in ends) > 0.5  # of ten classes
    assert epochs[:2] != epochs[2:]


def test_the_settings_are_the_experiments_unless_others_are_given(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(torch_reference, "accuracies", lambda network, images, *rest: seen.append(rest) or iter([0.5]))
    printed(capsys, "cifar10-rescnn")
    printed(capsys, "cifar10-rescnn", "--seeds", "7", "--lr", "0.01", "--epochs", "1")
    (own, first, device), (given, second, _) = seen
    assert (first, second, device) == (42, 7, "cpu")
    assert (own.lr, own.weight_decay, given.lr, given.weight_decay, given.epochs) == (1e-3, 5e-4, 1e-2, 5e-4, 1)


def test_what_cannot_be_trained_is_refused(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        torch_reference.main(["mnist-cn"])
    assert "'mnist-cnn'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        torch_reference.main(["mnist-cnn", "--seeds", "3", "3"])
    assert "expected different numbers, got [3, 3]" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        torch_reference.main(["mnist-cnn", "--device", "cuda"])
    assert "PyTorch finds no GPU here" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        torch_reference.main(["mnist-cnn"])
    assert "pip install torch" in capsys.readouterr().err
