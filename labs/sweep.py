"""Run a lab for every cell of a grid of settings, several at a time, and compare what comes out.

    python labs/sweep.py lab8_loan_auc --grid lr=0.01,0.05,0.1 --grid weight_decay=0.1,0.01,0.001 --set epochs=30

Every cell is a process of its own, so that one that fails or crashes takes no other with it. Each has a folder: its
settings (cell.json), all that it printed (output.txt), how it ended (outcome.json), and the lab's run. At the end all
of them stand in runs_summary.csv and comparison.html.

The same command again goes on where it was stopped: finished cells are passed over, interrupted ones resumed where the
lab can do that, the others run. A grid may grow in its folder: what is there stays. Ctrl-C ends the cells that are
running after their batch, and starts no further ones; a second one ends them at once.

On other machines: start `dask scheduler` and, where the same folders are mounted, `dask worker ADDRESS`; then
--dask ADDRESS runs the cells there.
"""

from __future__ import annotations

import sys

from kit.sweep.command import main

if __name__ == "__main__":
    sys.exit(main(description=__doc__))
