"""What PyTorch scripts ask and set before they begin: other devices, cuDNN's switches, settings without effect."""

from __future__ import annotations

import importlib

import pytest

import minigrad
from minigrad import cuda


def test_other_devices_are_asked_for_as_in_pytorch_and_are_not_there() -> None:
    assert not minigrad.backends.mps.is_available()
    assert not minigrad.backends.mps.is_built()
    assert not minigrad.xpu.is_available()
    assert minigrad.xpu.device_count() == 0
    assert minigrad.backends.cudnn.is_available() is False
    assert minigrad.backends.cudnn.version() is None


@pytest.mark.parametrize("module", ["backends.cudnn", "backends.cuda", "backends.mps", "accelerator", "xpu"])
def test_they_can_be_imported_by_their_dotted_names(module: str) -> None:
    assert importlib.import_module(f"minigrad.{module}").__doc__


def test_switches_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for switch in ("benchmark", "deterministic", "enabled", "allow_tf32"):
        monkeypatch.setattr(minigrad.backends.cudnn, switch, True)
    monkeypatch.setattr(minigrad.backends.cuda.matmul, "allow_tf32", True)
    assert minigrad.backends.cudnn.benchmark is True


def test_the_accelerator_is_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_find", lambda: (None, "none here"))
    assert not minigrad.accelerator.is_available()
    assert minigrad.accelerator.current_accelerator() is None
    assert minigrad.accelerator.device_count() == 0
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    assert minigrad.accelerator.is_available()
    assert minigrad.accelerator.current_accelerator() == minigrad.device("cuda")


def test_the_gpus_generator_is_seeded_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    minigrad.manual_seed(3)
    before = minigrad.get_rng_state()
    monkeypatch.setattr(cuda, "_find", lambda: (None, "none here"))
    cuda.manual_seed(1)
    cuda.manual_seed_all(1)
    assert minigrad.get_rng_state() == before
    seeds: list[int] = []
    gpu = type("Gpu", (), {"manual_seed": staticmethod(seeds.append)})
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "generator", lambda: gpu)
    cuda.manual_seed_all(7)
    assert seeds == [7]
    assert minigrad.get_rng_state() == before


def test_settings_are_kept_and_checked() -> None:
    assert not minigrad.are_deterministic_algorithms_enabled()
    minigrad.use_deterministic_algorithms(True, warn_only=True)
    assert minigrad.are_deterministic_algorithms_enabled()
    minigrad.use_deterministic_algorithms(False)
    assert minigrad.get_float32_matmul_precision() == "highest"
    minigrad.set_float32_matmul_precision("high")
    assert minigrad.get_float32_matmul_precision() == "high"
    with pytest.raises(ValueError, match="'highest', 'high' or 'medium', got 'low'"):
        minigrad.set_float32_matmul_precision("low")
    minigrad.set_float32_matmul_precision("highest")
