"""Running a PyTorch program on minigrad with nothing changed but its import lines.

From a shell, ``python -m minigrad.porting SCRIPT [ARGS...]`` runs one, ``--diff`` shows the lines that change and
``--check`` the names that minigrad has not.
"""

from .check import Missing, missing
from .rewrite import ported, run

__all__ = ["Missing", "missing", "ported", "run"]
