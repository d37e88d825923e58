"""Settings of matrix products on a GPU (``torch.backends.cuda``); they change nothing, CuPy decides."""

from __future__ import annotations

from types import SimpleNamespace

matmul = SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=False)
