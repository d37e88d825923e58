"""Files of made-up loans, as lab 8 reads them."""

from __future__ import annotations

import csv

import numpy as np
from lab8 import data

HEADER = ["id", *data.COLUMNS, data.TARGET]
ROW = ["7", "30", "50000", "RENT", "4.0", "MEDICAL", "B", "9000", "11.5", "0.18", "N", "6", "0"]


def made_up_rows(count, seed=0):
    """Loans of which those with a high rate are approved, most of them."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        rate = rng.uniform(5, 20)
        categories = [rng.choice(list(known)) for known in data.COLUMNS.values() if known]
        home, intent, grade, default = categories
        numbers = rng.integers(20, 70), rng.integers(10_000, 90_000), rng.integers(0, 20), rng.integers(1000, 9000)
        age, income, years, amount = numbers
        approved = int(rate + rng.normal() > 14)
        share = round(float(rng.uniform(0, 0.8)), 2)
        rows.append([i, age, income, home, years, intent, grade, amount, round(rate, 2), share, default, 3, approved])
    return rows


def write(path, rows, header=HEADER):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_both(folder, train=96, test=40):
    write(folder / data.TRAIN, made_up_rows(train))
    write(folder / data.TEST, made_up_rows(test, seed=1))
