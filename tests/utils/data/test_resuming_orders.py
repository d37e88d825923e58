"""Resuming inside an epoch whose order comes from elsewhere: exact, or refused."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from loader_support import SHUFFLE, AtOnce, Late, N, Numbers, seeded

import minigrad
from minigrad import nn
from minigrad.random import random_state, set_random_state
from minigrad.training import Callback, Trainer
from minigrad.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    Sampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
)


class ByParts(AtOnce):
    """Draws as it goes: each dozen of indices when it is come to."""

    def __iter__(self):
        for start in range(0, N, 12):
            yield from [start + i for i in self.shuffle(12)]


class Drawn(IterableDataset):
    def __init__(self, source):
        self.shuffle = SHUFFLE[source]

    def share(self):
        info = get_worker_info()
        return (0, 1) if info is None else (info.id, info.num_workers)

    def __iter__(self):
        first, step = self.share()
        for start in range(first, N, 12 * step):
            yield from [start + step * i for i in self.shuffle(12)]


class Own(Sampler):
    """An order from a generator of its own, drawn index by index."""

    def __init__(self, generator, below):
        self.rng = generator
        self.below = below

    def __iter__(self):
        left = list(range(N))
        while left:
            yield left.pop(int(self.below(self.rng, len(left))))

    def __len__(self):
        return N


class Epochs(Sampler):
    """An order that depends on how often it was asked for."""

    def __init__(self):
        self.epoch = 0

    def __iter__(self):
        self.epoch += 1
        return iter(np.random.default_rng(self.epoch).permutation(N).tolist())

    def __len__(self):
        return N


class TellsEpoch(Epochs):
    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]


class TellsPlace(TellsEpoch):
    """Goes on by itself from where it stood."""

    at = -1
    skip = 0

    def __iter__(self):
        order = np.random.default_rng(self.epoch).permutation(N).tolist()
        skip, self.skip = self.skip, 0
        for self.at in range(skip, N):
            yield order[self.at]
        self.epoch, self.at = self.epoch + 1, -1

    def state_dict(self):
        return {"epoch": self.epoch, "skip": self.skip or self.at + 1}

    def load_state_dict(self, state):
        self.epoch, self.skip = state["epoch"], state["skip"]


class Duck:
    """No Sampler by its class."""

    def __init__(self):
        self.rng = random.Random(2)

    def __iter__(self):
        return iter(self.rng.sample(range(N), N))


def seed_all(seed):
    minigrad.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def draw_all():
    """What a training draws in between."""
    return minigrad.rand(3), np.random.rand(3), random.random()


def interrupted(make, seen, before=1, between=lambda: None):
    """(what remained of the epoch and the next one, the same as resumed elsewhere)."""
    seed_all(1)
    loader = make()

    def go(batches):
        found = []
        for batch in batches:
            found.append(batch.tolist())
            between()
        return found

    for _ in range(before):
        go(loader)
    batches = iter(loader)
    for _ in range(seen):
        next(batches)
        between()
    state, generators = json.loads(json.dumps(loader.state_dict())), random_state()
    wanted = go(batches), go(loader)
    seed_all(77)
    other = make()
    set_random_state(generators)
    other.load_state_dict(state)
    return wanted, (go(other), go(other))


def goes_on_exactly(make, seen, **options):
    wanted, resumed = interrupted(make, seen, **options)
    assert resumed == wanted


WORKERS = [{}, {"num_workers": 2}]


REFUSED = "cannot go on inside the epoch"


@pytest.mark.parametrize("workers", WORKERS, ids=["here", "workers"])
@pytest.mark.parametrize("source", SHUFFLE)
@pytest.mark.parametrize("sampler", [AtOnce, Late, ByParts])
def test_samplers_that_draw_from_the_programs_generators(sampler, source, workers):
    goes_on_exactly(lambda: DataLoader(Numbers(), 4, sampler=sampler(source), **workers), 5)
    goes_on_exactly(lambda: DataLoader(Numbers(), batch_sampler=BatchSampler(sampler(source), 4, False), **workers), 5)


@pytest.mark.parametrize("workers", WORKERS, ids=["here", "workers"])
@pytest.mark.parametrize("source", SHUFFLE)
@pytest.mark.parametrize("sampler", [AtOnce, Late])
def test_draws_of_the_training_do_not_change_an_order_drawn_before(sampler, source, workers):
    goes_on_exactly(lambda: DataLoader(Numbers(), 4, sampler=sampler(source), **workers), 5, between=draw_all)


@pytest.mark.parametrize("workers", WORKERS, ids=["here", "workers"])
@pytest.mark.parametrize("source", SHUFFLE)
def test_an_order_woven_into_the_trainings_draws_is_refused(source, workers):
    goes_on_exactly(
        lambda: DataLoader(Numbers(), 4, sampler=ByParts(source), **workers), 1, between=draw_all
    )  # nothing was drawn in between yet
    with pytest.raises(RuntimeError, match=f"{REFUSED}: the sampler ByParts.*state_dict"):
        interrupted(lambda: DataLoader(Numbers(), 4, sampler=ByParts(source), **workers), 5, between=draw_all)


@pytest.mark.parametrize("seen", [0, 5, 12])
@pytest.mark.parametrize("workers", WORKERS, ids=["here", "workers"])
@pytest.mark.parametrize("source", SHUFFLE)
def test_streams_that_draw_from_the_programs_generators(source, workers, seen):
    goes_on_exactly(lambda: DataLoader(Drawn(source), 4, **workers), seen)


def test_a_stream_woven_into_the_trainings_draws_is_refused():
    for source in SHUFFLE:
        with pytest.raises(RuntimeError, match=f"{REFUSED}: Drawn"):
            interrupted(lambda source=source: DataLoader(Drawn(source), 4), 5, between=draw_all)
    goes_on_exactly(lambda: DataLoader(Drawn("numpy"), 4, num_workers=2), 5, between=draw_all)


OWN = {
    "minigrad": lambda: Own(seeded(3), lambda rng, n: minigrad.randint(n, (1,), generator=rng)),
    "pcg": lambda: Own(np.random.default_rng(3), lambda rng, n: rng.integers(n)),
    "mersenne": lambda: Own(np.random.Generator(np.random.MT19937(3)), lambda rng, n: rng.integers(n)),
    "sfc": lambda: Own(np.random.Generator(np.random.SFC64(3)), lambda rng, n: rng.integers(n)),
    "philox": lambda: Own(np.random.Generator(np.random.Philox(3)), lambda rng, n: rng.integers(n)),
    "numpy's old": lambda: Own(np.random.RandomState(3), lambda rng, n: rng.randint(n)),
    "python's": lambda: Own(random.Random(3), lambda rng, n: rng.randrange(n)),
    "duck": Duck,
    "tells its epoch": TellsEpoch,
    "tells its place": TellsPlace,
}


@pytest.mark.parametrize("workers", WORKERS, ids=["here", "workers"])
@pytest.mark.parametrize("kind", OWN)
def test_samplers_with_a_generator_or_state_of_their_own(kind, workers):
    goes_on_exactly(
        lambda: DataLoader(Subset(Numbers(), range(N)), 4, sampler=OWN[kind](), **workers),
        5,
        before=2,
        between=draw_all,
    )


@pytest.mark.parametrize("workers", WORKERS, ids=["here", "workers"])
def test_an_order_that_comes_from_elsewhere_is_refused(workers):
    goes_on_exactly(lambda: DataLoader(Numbers(), 4, sampler=Epochs(), **workers), 5, before=0)
    with pytest.raises(RuntimeError, match=f"{REFUSED}: the sampler Epochs"):
        interrupted(lambda: DataLoader(Numbers(), 4, sampler=Epochs(), **workers), 1, before=2)


def test_other_samples_behind_the_same_state_are_refused():
    """Weights or indices that were changed, or a shorter order."""
    loader = DataLoader(Numbers(), 4, sampler=WeightedRandomSampler(np.arange(1, N + 1), N, generator=seeded(0)))
    next(iter(loader))
    state = loader.state_dict()
    for weights in (np.ones(N), np.arange(N)[::-1]):
        other = DataLoader(Numbers(), 4, sampler=WeightedRandomSampler(weights, N, generator=seeded(0)))
        other.load_state_dict(state)
        with pytest.raises(RuntimeError, match=REFUSED):
            next(iter(other))


class TellingStream(Drawn):
    """Knows how far it has come."""

    def __init__(self):
        self.at = self.reads = 0

    def __iter__(self):
        first, step = self.share()
        while self.at < N // step:
            self.at += 1
            self.reads += 1
            yield first + step * (self.at - 1)
        self.at = 0

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


@pytest.mark.parametrize("workers", WORKERS, ids=["here", "workers"])
def test_a_stream_with_a_state_goes_on_by_itself(workers):
    made = []

    def make():
        made.append(TellingStream())
        return DataLoader(made[-1], 4, **workers)

    wanted, resumed = interrupted(make, 5, between=draw_all)
    assert resumed == wanted
    assert len(wanted[0]) == 7
    if not workers:
        assert made[1].reads == 7 * 4 + N  # what was seen is not read again
        loader = make()
        next(iter(loader))
        with pytest.raises(ValueError, match="told its own place"):
            DataLoader(Drawn("numpy"), 4).load_state_dict(loader.state_dict())
        with pytest.raises(ValueError, match=r"comes from 3 random generators, here it is 1; .* the same num_workers"):
            DataLoader(TellingStream(), 4, num_workers=2).load_state_dict(loader.state_dict())


class Noise(Numbers):
    """Draws from NumPy's global generator and from one of its own."""

    def __init__(self, own):
        self.transform = np.random.default_rng(5) if own else None

    def __getitem__(self, i):
        return i + (np.random if self.transform is None else self.transform).random()


def seed_worker(worker):
    np.random.seed(worker)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"num_workers": 2, "worker_init_fn": seed_worker}])
def test_noise_in_samples_repeats_too(own, options):
    goes_on_exactly(lambda: DataLoader(Subset(Noise(own), range(N)), 4, shuffle=True, **options), 5)


@pytest.mark.parametrize("own", [False, True])
def test_noise_that_workers_went_on_drawing_for_epochs_is_refused(own):
    options = {"num_workers": 2, "worker_init_fn": seed_worker, "persistent_workers": True}
    goes_on_exactly(lambda: DataLoader(Numbers(), 4, **options), 5)  # draws nothing
    with pytest.raises(RuntimeError, match=f"{REFUSED}: Noise"):
        interrupted(lambda: DataLoader(Noise(own), 4, **options), 5)


@pytest.mark.parametrize("source", SHUFFLE)
def test_a_trainer_sees_every_sample_once(source):
    """Interrupted and resumed in the middle of an epoch, with dropout in between."""

    def train(resume=None, stop=None):
        seen, states = [], []

        class Watch(Callback):
            def on_batch_end(self, trainer):
                seen.extend(trainer.batch[0][:, 0].tolist())
                if trainer.step == stop:
                    states.append((trainer.state_dict(), len(seen)))

        model = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5))
        data = TensorDataset(minigrad.arange(N).float()[:, None], minigrad.zeros(N, 1))
        loader = DataLoader(data, 4, sampler=Late(source))
        trainer = Trainer(model, nn.MSELoss(), minigrad.optim.SGD(model.parameters(), lr=1e-6), callbacks=[Watch()])
        trainer.fit(loader, epochs=2, resume=resume)
        return seen, states

    seed_all(3)
    seen, ((state, count),) = train(stop=17)
    assert sorted(seen) == sorted([*range(N)] * 2)
    seed_all(55)
    assert train(resume=state)[0] == seen[count:]
