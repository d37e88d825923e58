"""How fast minigrad is beside PyTorch: ``python -m benchmarks``.

Each library runs in a process of its own (:mod:`benchmarks.worker`), since the thread pools of two libraries
in one process spin against each other. The workers do the same case in turn, over several rounds
(:mod:`benchmarks.measure`), so that a slow minute of the machine meets all of them. What is computed stands
in :mod:`benchmarks.cases`.
"""
