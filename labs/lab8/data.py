"""The loans of lab 8: two CSV files, checked cell by cell, as numbers that a network can take.

They come from the Kaggle competition "Loan Approval Prediction" (playground-series-s4e10), which asks for a login, so
nothing is downloaded. Its own test.csv has no answers; both files are parts of its train.csv. With that file at hand,

    python labs/lab8/data.py train.csv ~/.cache/minigrad/loan

writes two such parts. The report does not say which rows were in which, so its figures and ours are of different ones.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.datasets import data_root
from minigrad.files import write_text
from minigrad.terminal import readable_output

Split = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]  # features (N, 11), answers (N, 1)

# Categories as numbers: the report's, whose order means something for homes and grades and nothing for intents.
HOME = {"OTHER": 0, "RENT": 1, "MORTGAGE": 2, "OWN": 3}
INTENT = {"DEBTCONSOLIDATION": 0, "EDUCATION": 1, "MEDICAL": 2, "VENTURE": 3, "PERSONAL": 4, "HOMEIMPROVEMENT": 5}
GRADE = {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "F": 6, "G": 7}
DEFAULT = {"N": 0, "Y": 1}
STATUS = {"0": 0, "1": 1}

COLUMNS: dict[str, dict[str, int] | None] = {  # None: a number as it stands
    "person_age": None,  # years
    "person_income": None,  # a year
    "person_home_ownership": HOME,
    "person_emp_length": None,  # years
    "loan_intent": INTENT,
    "loan_grade": GRADE,
    "loan_amnt": None,
    "loan_int_rate": None,  # per cent
    "loan_percent_income": None,  # the loan as a share of the income, 0 … 1
    "cb_person_default_on_file": DEFAULT,
    "cb_person_cred_hist_length": None,  # years
}
FEATURES = len(COLUMNS)
TARGET = "loan_status"  # 1: approved, as the competition puts it
TRAIN, TEST = "loan_train.csv", "loan_test.csv"
ROWS = 52_780, 5_865  # of both files, in the report as here


class LoanDataError(ValueError):
    """Files that are not there or not as they should be; the message names file, line and column."""


class LoansMissing(LoanDataError):
    """Neither file is there."""


@dataclass
class Loans:
    """Features (N, 11), standardised by the training set's mean and deviation, and answers (N, 1) of both files."""

    train: Split
    test: Split
    kind: str  # "loans", or what stands in for them
    warning: str = ""


def load(data: str | None) -> Loans:
    """The two files, from the folder ``loan`` in that of the data sets or from that folder itself.

    Raises LoanDataError.
    """
    root = data_root(data)
    folder = next((p for p in (root / "loan", root) if (p / TRAIN).exists() or (p / TEST).exists()), None)
    if folder is None:
        raise LoansMissing(
            f"{TRAIN} and {TEST} are neither in {root / 'loan'} nor in {root}.\n"
            "They are parts of the train.csv of a Kaggle competition, "
            "https://www.kaggle.com/competitions/playground-series-s4e10,\n"
            "which asks for a login, so it cannot be downloaded from here. Fetch it by hand, and cut it in two with\n"
            f"  python labs/lab8/data.py train.csv {root / 'loan'}\n"
            f"or name the folder that has both files with --data, or try the lab without them: --quick"
        )
    for name in (TRAIN, TEST):
        if not (folder / name).exists():
            raise LoanDataError(f"{name} is not in {folder}, where the other file lies; both are needed")
    train, test = read(folder / TRAIN), read(folder / TEST)
    if (rows := (len(train[0]), len(test[0]))) == ROWS:
        return standardised(train, test, "loans")
    warning = (
        f"The files in {folder} have {rows[0]:,} and {rows[1]:,} rows, those of the report {ROWS[0]:,} and "
        f"{ROWS[1]:,}: figures of another split."
    )
    return standardised(train, test, "other split", warning)


def read(path: Path) -> Split:
    """Features (N, 11) as numbers, in the order of COLUMNS, and answers (N, 1). Other columns are passed over.

    Raises LoanDataError for a file without rows, a column that is missing, a row of another length, a category that is
    not known, a cell that is no finite number, and where all answers are the same.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file, strict=True)
            header = next(table, None)
            if not header:
                raise LoanDataError(f"{path} is empty; expected a line of column names and a row for each loan")
            missing = [name for name in (*COLUMNS, TARGET) if name not in header]
            if missing:
                raise LoanDataError(f"{path} has no column {', '.join(missing)}; it has {', '.join(header)}")
            columns = [(header.index(name), name, known) for name, known in {**COLUMNS, TARGET: STATUS}.items()]
            rows = []
            for row in table:
                if not row:
                    continue  # an empty line
                where = f"{path}, line {table.line_num}"
                if len(row) != len(header):
                    raise LoanDataError(f"{where}: {len(row)} cells, expected {len(header)} as in the first line")
                rows.append([_number(row[i], name, known, where) for i, name, known in columns])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LoanDataError(f"cannot read {path}: {error}") from None
    if not rows:
        raise LoanDataError(f"{path} has column names but no rows")
    numbers = np.array(rows)
    features, answers = numbers[:, :-1], numbers[:, -1:]
    if answers.min() == answers.max():
        raise LoanDataError(f"{path}: {TARGET} is {answers[0, 0]:.0f} in all rows; AUC needs loans of both kinds")
    return features, answers


def _number(cell: str, name: str, known: dict[str, int] | None, where: str) -> float:
    if known is not None:
        if cell not in known:
            raise LoanDataError(f"{where}: {name} is {cell!r}, expected one of {', '.join(known)}")
        return known[cell]
    try:
        value = float(cell)
    except ValueError:
        raise LoanDataError(f"{where}: {name} is {cell!r}, expected a number") from None
    if not math.isfinite(value):
        raise LoanDataError(f"{where}: {name} is {cell!r}, expected a finite number")
    return value


def standardised(train: Split, test: Split, kind: str, warning: str = "") -> Loans:
    """(x − mean) / std of each feature in both sets, the mean and std being the training set's; as float32.

    What is known of the test set must not shape its input. A feature that never varies becomes 0.
    """
    mean, std = train[0].mean(axis=0), train[0].std(axis=0)
    std[std == 0] = 1.0
    sets = [
        (((x - mean) / std).astype(np.float32), answers.astype(np.float32))  # (N, 11) − (11,)
        for x, answers in (train, test)
    ]
    return Loans(sets[0], sets[1], kind, warning)


def fewer(loans: Loans, train: int, test: int) -> Loans:
    """At most so many rows of each set, taken at even distances, for a quick run."""
    sets = []
    for split, count in ((loans.train, train), (loans.test, test)):
        step = max(1, len(split[0]) // count)
        sets.append((split[0][::step][:count], split[1][::step][:count]))
    return Loans(sets[0], sets[1], loans.kind, loans.warning)


def look_alike(rows: tuple[int, int], seed: int) -> Loans:
    """Made-up loans, approved by a rule and some chance: something to run on where there are no files."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((sum(rows), FEATURES))
    score = x @ rng.standard_normal(FEATURES) + rng.logistic(size=len(x))
    t = (score > np.quantile(score, 0.8)).astype(np.float64)[:, None]
    warning = "The loans are not at hand, so this runs on made-up ones. No figure below is one of the lab."
    train, test = [(x[part], t[part]) for part in (slice(rows[0]), slice(rows[0], None))]
    return standardised(train, test, "look-alike", warning)


def cut(source: Path, folder: Path, seed: int = 42) -> None:
    """Write the competition's train.csv, its rows shuffled, as the two files of this lab: nine tenths and one tenth.

    Raises LoanDataError, before anything is written, if `source` is not such a file, and where the files are already.
    """
    read(source)
    header, *rows = [line for line in source.read_text(encoding="utf-8-sig").splitlines() if line]
    order = np.random.default_rng(seed).permutation(len(rows))
    tested = math.ceil(len(rows) / 10)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (TRAIN, TEST):
        if (folder / name).exists():
            raise LoanDataError(f"{folder / name} is there already; remove it first")
    for name, numbers in ((TEST, order[:tested]), (TRAIN, order[tested:])):
        write_text(folder / name, "\n".join([header, *(rows[i] for i in numbers)]) + "\n")


def main(argv: list[str] | None = None) -> int:
    readable_output()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the competition's train.csv")
    parser.add_argument("folder", type=Path, help=f"where {TRAIN} and {TEST} are written")
    args = parser.parse_args(argv)
    try:
        cut(args.source, args.folder)
    except (LoanDataError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{args.folder / TRAIN} and {args.folder / TEST} are written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
