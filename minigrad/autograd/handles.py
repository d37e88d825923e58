"""Handles of hooks: what registering one returns, and how it is taken away."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes it away, ``with handle:`` does so at the end."""

    def __init__(self, hooks: OrderedDict[int, Any], after_removal: Callable[[], None] | None = None) -> None:
        self.id = next(_ids)
        self._hooks = weakref.ref(hooks)
        self._after_removal = after_removal

    def remove(self) -> None:
        """Take the hook away. Doing it twice is harmless."""
        hooks = self._hooks()
        if hooks is not None and hooks.pop(self.id, None) is not None and self._after_removal is not None:
            self._after_removal()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()
