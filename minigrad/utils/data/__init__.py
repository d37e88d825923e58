"""Datasets, samplers and the DataLoader: the face of torch.utils.data.

How workers work
----------------
`num_workers=n` starts n processes that make batches while the training computes. Three dangers shaped the
design.

*Forking a process that has threads.* A forked child has one thread; the thread pools of Numba, OpenMP and
OpenBLAS that the parent had started exist in it only as memory, and a lock that some thread held at that
moment stays locked for ever. Starting a clean process instead ("spawn", "forkserver") avoids all that,
but must pickle the dataset, so that lambdas and classes made in a function fail, costs a copy of a
dataset that fork shares for free, and re-imports the user's script, which then needs an `if __name__ ==
"__main__"` guard. Scripts written for PyTorch on Linux rely on none of that being needed. So the default
on Linux is fork, made safe by what the child does not do: it runs ops by the textbook path
(`minigrad.kernels.disabled()`), so it never enters a parallel region of Numba, and it takes no lock that
the parent could have held: between loader and workers there are no queues, no locks and no threads, only
one socket per worker, and NumPy's global generator, which has a lock, is replaced. OpenBLAS itself
survives a fork. The child freezes the garbage collector's view of the inherited objects, so that a large
parent is not copied page by page. Elsewhere the system's own default is used. A worker has one thread,
BLAS's too: the cores are the training's. Pass `multiprocessing_context="forkserver"` for datasets that
call threaded libraries of their own, and for programs where another Python thread multiplies matrices
while workers start: OpenBLAS stops its threads at a fork, and that other thread would wait for them.

*Deadlocks.* A worker that is killed while it holds a queue's lock hangs everyone else. Here nothing is shared
that could be left locked: the loader waits on the worker's socket and on the worker's death at once, so a
killed worker is an error with its number and signal. Batches lie in shared memory without a name
(:mod:`.transport`) and the messages are a few bytes, so that sending never blocks.

*Processes left behind.* The pool ends its workers when the epoch ends, when an error or Ctrl-C passes through
the iterator, when the iterator is dropped, and when the program ends; a worker whose loader was killed
notices within two seconds. Ctrl-C is ignored by workers, so they print no tracebacks of their own.

*The same batches every time.* Batch n goes to worker n mod workers, and before each batch the worker seeds
its generators with a number made of the epoch's seed and n. So random transforms repeat with the seed, for
any number of workers, and after resuming in the middle of an epoch.
"""

from .collate import default_collate, default_convert
from .dataloader import DataLoader
from .dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler
from .worker import WorkerInfo, get_worker_info

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]


def __getattr__(name: str) -> object:
    raise AttributeError(f"minigrad.utils.data has no {name!r}; it offers {', '.join(__all__)}")
