"""Whether a network overfits, judged by its curves alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kit.findings import chance

LOSS_RISES = 0.05  # share by which the test loss ends above its lowest value: more than it wavers by


class Verdict(NamedTuple):
    """`kind` is "yes", "begins" or "no"; `why` holds the numbers it goes by."""

    kind: str
    why: str

    def __str__(self) -> str:
        says = {"yes": "Overfitted", "begins": "Overfitting begins", "no": "Not overfitted"}
        return f"{says[self.kind]}: {self.why}"


def verdict(
    loss: Sequence[float],
    val_loss: Sequence[float],
    accuracy: Sequence[float],
    val_accuracy: Sequence[float],
    test_images: int,
) -> Verdict:
    """Judge a training by its curves, a value for each epoch.

    - *yes*: the test loss ends more than 5 % above its lowest value while the training loss went on falling, and the
      training accuracy ends above the test accuracy beyond chance: what is still learned holds for the training images
      alone.
    - *begins*: the test loss does not rise (yet), but the training accuracy is above the test accuracy beyond chance.
    - *no*: training and test accuracy end within chance of each other, or the test accuracy is above.

    Beyond chance: by more than twice the standard error √(p (1 − p) / n) of an accuracy p on n test images. Training
    curves are means over an epoch in which the weights moved, with dropout at work, so they lie a little lower than the
    training accuracy of the weights that are left: the verdict is on the careful side.
    """
    if not val_loss:
        return Verdict("no", "no epoch was finished.")
    gap = accuracy[-1] - val_accuracy[-1]
    noise = chance(val_accuracy[-1], test_images)
    lowest = min(range(len(val_loss)), key=lambda i: val_loss[i])
    rise = val_loss[-1] / val_loss[lowest] - 1
    ends = (
        f"training accuracy {accuracy[-1]:.4f}, test accuracy {val_accuracy[-1]:.4f}, {gap:+.4f} apart "
        f"(chance: ±{noise:.4f})"
    )
    if gap <= noise:
        return Verdict("no", f"{ends}.")
    if rise > LOSS_RISES and loss[-1] < loss[lowest]:
        return Verdict(
            "yes",
            f"{ends}; the test loss was lowest after epoch {lowest + 1} ({val_loss[lowest]:.4f}) and rose by "
            f"{rise:.0%} while the training loss fell from {loss[lowest]:.4f} to {loss[-1]:.4f}.",
        )
    return Verdict("begins", f"{ends}, but the test loss ends {rise:.1%} above its lowest value, so it does not rise.")
