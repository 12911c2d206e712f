"""Columns of tables: which are features, which are dropped, and which are an index that nobody meant."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.data import DataError, about_columns, find, read

TEXT = "id,age,town,size,kind\n7,30,Bonn,1.5,a\n9,40,Ulm,2.5,b\n8,50,Ulm,3.5,a\n"


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("drop", [["id", "town"], ["1", "3"], ["town", "1"], ["id", "1", "town"]])
def test_columns_are_dropped_by_name_or_number(drop, people):
    samples = read(people, "kind", drop)
    np.testing.assert_array_equal(samples.X, [[30, 1.5], [40, 2.5], [50, 3.5]])
    assert samples.feature_names == ["age", "size"] and samples.labels.tolist() == ["a", "b", "a"]
    assert set(samples.dropped) == {"id", "town", "kind"}
    assert about_columns(samples)["dropped"] == list(samples.dropped)
    assert read(people, "5", drop).labels.tolist() == ["a", "b", "a"]  # labels are named alike


def test_columns_of_a_table_without_a_header_are_numbers_from_1(tmp_path):
    (tmp_path / "t.csv").write_text("1,x,3\n4,y,6\n")  # a row that holds text is taken for a header
    (tmp_path / "n.csv").write_text("1,2,3\n4,5,6\n")
    samples = read(tmp_path / "n.csv", label="3", drop=["1"])
    assert samples.X.tolist() == [[2], [5]] and samples.labels.tolist() == ["3", "6"]
    assert samples.dropped == ()  # in a table without the first column, the first one would be another


def test_what_was_dropped_is_left_out_where_it_is(people, tmp_path):
    dropped = read(people, "kind", ["id", "town"]).dropped
    (tmp_path / "without.csv").write_text("size,age\n1,2\n")
    (tmp_path / "moved.csv").write_text("town,age,id,size\nUlm,1,9,2\n")
    assert read(tmp_path / "without.csv", unneeded=dropped).X.tolist() == [[1, 2]]
    assert read(tmp_path / "moved.csv", unneeded=dropped).X.tolist() == [[1, 2]]
    labelled = read(tmp_path / "moved.csv", "town", unneeded=dropped)  # what is asked for as labels is there
    assert labelled.labels.tolist() == ["Ulm"] and labelled.dropped == ("id", "town")


@pytest.mark.parametrize("label, drop, message", [
    ("kind", ["height"], "no column 'height' for --drop: expected one of 'id', 'age', 'town', 'size', 'kind', or a "
                         "number from 1 to 5"),
    ("kind", ["0"], "no column '0' for --drop"), ("kind", ["6"], "no column '6'"), ("kind", ["9" * 5000], "no column"),
    ("kind", ["-1"], "no column '-1'"), ("kind", [""], "no column ''"),
    ("kind", ["5"], "'kind' of .* is named for labels and to be dropped"),
    (None, ["1", "2", "3", "4", "5"], "no column beside 'id', 'age', 'town', 'size', 'kind': expected features too"),
    ("kind", ["id"], r"row 2, column 'town' holds 'Bonn', expected a number: drop the column \(--drop town\)"),
])
def test_columns_that_can_not_be_dropped(label, drop, message, people):
    with pytest.raises(DataError, match=message) as raised:
        read(people, label, drop)
    assert "\n" not in str(raised.value)


def test_only_tables_have_columns_to_drop(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(3))
    for name in (str(tmp_path / "x.npy"), "digits"):
        with pytest.raises(DataError, match="leave --drop out"):
            find(name, drop=["1"])


def test_two_columns_of_one_name_are_told_by_their_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="has 2 columns 'a' for --drop"):
        read(tmp_path / "t.csv", drop=["a"])
    samples = read(tmp_path / "t.csv", drop=["3"])
    assert samples.feature_names == ["a", "b"] and samples.dropped == ()


@pytest.mark.parametrize("text, noted, remedy", [
    (",a,b\n5,1,2\n9,2,3\n", "column 1 of t.csv, which has no name, seems to be an index that pandas wrote", "1"),
    (",a,b\n0,1,2\n1,2,3\n2,5,5\n", "which has no name, counts the rows from 0", "1"),
    ("Unnamed: 0,a\n5,1\n9,2\n", "'Unnamed: 0', seems to be an index", "'Unnamed: 0'"),
    ("id,a\n1,5\n2,5\n3,7\n", "'id', counts the rows from 1", "id"),
    ("0,5\n1,6\n2,8\n", "column 1 of t.csv counts the rows from 0", "1"),
    (",0,1\n0,5,5\n1,6,6\n2,8,8\n", "which has no name", "''"),  # "1" is a column's name there
])
def test_an_index_is_noted_with_its_remedy(text, noted, remedy, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    samples = read(tmp_path / "t.csv")
    assert noted in samples.note and samples.note.endswith(f"--drop {remedy} leaves it out")
    dropped = read(tmp_path / "t.csv", drop=[remedy.strip("'")])
    assert dropped.note is None
    np.testing.assert_array_equal(dropped.X, samples.X[:, 1:])


@pytest.mark.parametrize("text", [
    "a,b\n2,1\n3,2\n4,3\n", "a,b\n0,1\n1,2\n3,3\n", "a,b\n0.5,1\n1.5,2\n2.5,3\n", "a,b\n1,1\n2,5\n",
    "b,id\n5,1\n5,2\n5,3\n", "id\n1\n2\n3\n",
])
def test_other_columns_are_no_index(text, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    assert read(tmp_path / "t.csv").note is None


def test_a_frame_without_names_written_with_its_index_has_a_header(tmp_path):
    (tmp_path / "t.csv").write_text(",0,1\n0,5.5,5\n1,6.5,6\n")
    samples = read(tmp_path / "t.csv", drop=[""])
    assert samples.feature_names == ["0", "1"] and samples.X.tolist() == [[5.5, 5], [6.5, 6]]
    (tmp_path / "gap.csv").write_text(",2,3\n1,2,3\n")  # a missing number is none
    with pytest.raises(DataError, match="row 1, column '1' is empty"):
        read(tmp_path / "gap.csv")


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1e999", "NaN"])
def test_a_number_that_is_not_finite_is_found_by_column_and_row(cell, tmp_path):
    (tmp_path / "t.csv").write_text(f'note,"a\nb",size\nx,1,2\n\ny,3,{cell}\nz,{cell},1\n')
    with pytest.raises(DataError, match=rf"t.csv row 5, column 'size' holds {float(cell)}: fill in or drop"):
        read(tmp_path / "t.csv", drop=["note"])
    (tmp_path / "large.csv").write_text("1e308,1e308\n1e308,1e308\n")  # of which the sum is not
    assert read(tmp_path / "large.csv").X.max() == 1e308
