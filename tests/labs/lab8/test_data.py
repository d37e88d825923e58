"""The loans: what is read from the files, and what is said of wrong and missing ones."""

from __future__ import annotations

import lab8_loan_auc as lab
import numpy as np
import pytest
from lab8 import data
from made_up_loans import HEADER, ROW, made_up_rows, write, write_both


def changed(column, value):
    row = list(ROW)
    row[HEADER.index(column)] = value
    return row


def test_a_row_becomes_the_numbers_that_the_report_uses(tmp_path):
    other = ["8", "41", "72000", "OWN", "1", "HOMEIMPROVEMENT", "G", "500", "7", "0", "Y", "2", "1"]
    features, answers = data.read(write(tmp_path / "a.csv", [ROW, other]))
    assert features.tolist() == [
        [30, 50000, 1, 4, 2, 2, 9000, 11.5, 0.18, 0, 6],
        [41, 72000, 3, 1, 5, 7, 500, 7, 0, 1, 2],
    ]
    assert answers.tolist() == [[0], [1]]


def test_categories_have_the_reports_order():
    orders = {
        "person_home_ownership": ["OTHER", "RENT", "MORTGAGE", "OWN"],
        "loan_intent": ["DEBTCONSOLIDATION", "EDUCATION", "MEDICAL", "VENTURE", "PERSONAL", "HOMEIMPROVEMENT"],
        "cb_person_default_on_file": ["N", "Y"],
    }
    expected = {column: {name: i for i, name in enumerate(names)} for column, names in orders.items()}
    expected["loan_grade"] = {name: i for i, name in enumerate("ABCDEFG", 1)}
    assert {column: known for column, known in data.COLUMNS.items() if known} == expected


def test_columns_are_found_by_name_and_others_passed_over(tmp_path):
    other = [*ROW[:-1], "1"]
    order = np.random.default_rng(0).permutation(len(HEADER))
    plain = data.read(write(tmp_path / "a.csv", [ROW, other]))
    shuffled = [[row[i] for i in order] + ["text"] for row in (ROW, other)]
    path = write(tmp_path / "b.csv", shuffled, [HEADER[i] for i in order] + ["remark"])
    path.write_text("\ufeff" + path.read_text(encoding="utf-8") + "\n", encoding="utf-8")  # as Excel writes it
    assert all((a == b).all() for a, b in zip(plain, data.read(path), strict=True))


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([], [], "is empty; expected a line of column names"),
        ([], HEADER, "has column names but no rows"),
        ([ROW], [n.replace("loan_grade", "grade") for n in HEADER], "has no column loan_grade; it has id, person_age"),
        ([ROW], HEADER[:-1], "has no column loan_status"),
        ([ROW, changed("loan_grade", "H")], HEADER, "line 3: loan_grade is 'H', expected one of A, B, C, D, E, F, G"),
        ([changed("loan_intent", "medical")], HEADER, "line 2: loan_intent is 'medical', expected one of DEBTCONSOL"),
        ([ROW, ROW, changed("loan_amnt", "much")], HEADER, "line 4: loan_amnt is 'much', expected a number"),
        ([changed("person_income", "")], HEADER, "line 2: person_income is '', expected a number"),
        ([changed("person_age", "nan")], HEADER, "line 2: person_age is 'nan', expected a finite number"),
        ([changed("loan_status", "2")], HEADER, "line 2: loan_status is '2', expected one of 0, 1"),
        ([ROW, ROW[:-1]], HEADER, "line 3: 12 cells, expected 13"),
        ([ROW, ROW], HEADER, "loan_status is 0 in all rows; AUC needs loans of both kinds"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, rows, header, message):
    write(tmp_path / "data" / data.TRAIN, rows, header)
    write(tmp_path / "data" / data.TEST, made_up_rows(20))
    with pytest.raises(SystemExit) as error:  # also in a quick run: the files are there, so they are meant
        lab.main(["--quick", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    assert str(error.value).startswith("error: ")
    assert data.TRAIN in str(error.value)
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(data.LoanDataError, match=r"cannot read .*a.csv"):
        data.read(tmp_path / "a.csv")


def test_both_sets_are_standardised_by_the_training_set(tmp_path):
    write_both(tmp_path)
    raw = [data.read(tmp_path / name)[0] for name in (data.TRAIN, data.TEST)]
    loans = data.load(str(tmp_path))
    for split, numbers in zip((loans.train, loans.test), raw, strict=True):
        std = raw[0].std(0)
        expected = (numbers - raw[0].mean(0)) / np.where(std > 0, std, 1)
        assert split[0].dtype == split[1].dtype == np.float32
        np.testing.assert_allclose(split[0], expected, atol=1e-5)
    assert (loans.train[0][:, -1] == 0).all()  # the length of the credit history is 3 everywhere
    assert loans.kind == "other split"
    assert "96 and 40 rows" in loans.warning


def test_the_files_are_looked_for_in_the_folder_loan_and_in_the_folder_itself(tmp_path):
    write_both(tmp_path / "a" / "loan")
    write_both(tmp_path / "b")
    loans = [data.load(str(tmp_path / name)) for name in "ab"]
    assert (loans[0].train[0] == loans[1].train[0]).all()
    (tmp_path / "b" / data.TEST).unlink()
    with pytest.raises(SystemExit, match=r"loan_test.csv is not in .*b, where the other file lies"):
        lab.main(["--quick", "--data", str(tmp_path / "b"), "--out", str(tmp_path / "out")])


def test_without_the_files_one_message_says_what_to_put_where(tmp_path):
    with pytest.raises(SystemExit) as error:
        lab.main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    for part in ("loan_train.csv and loan_test.csv", str(tmp_path / "data" / "loan"), "playground-series-s4e10",
                 "python labs/lab8/data.py train.csv", "--quick"):  # fmt: skip
        assert part in str(error.value)
    assert not (tmp_path / "out").exists()


def test_the_competitions_file_is_cut_in_two(tmp_path):
    source, folder = write(tmp_path / "train.csv", made_up_rows(101)), tmp_path / "loan"
    assert data.main([str(source), str(folder)]) == 0
    texts = [(folder / name).read_text().splitlines() for name in (data.TRAIN, data.TEST)]
    assert [len(lines) for lines in texts] == [91, 12]  # a header each
    assert texts[0][0] == texts[1][0] == ",".join(HEADER)
    rows = source.read_text().splitlines()[1:]
    assert sorted(texts[0][1:] + texts[1][1:]) == sorted(rows)
    assert texts[0][1:] != rows[:90]
    data.load(str(tmp_path))
    with pytest.raises(SystemExit, match="is there already"):
        data.main([str(source), str(folder)])
    with pytest.raises(SystemExit, match="no column loan_status"):  # Kaggle's own test.csv
        data.main([str(write(tmp_path / "test.csv", [ROW[:-1]], HEADER[:-1])), str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()
