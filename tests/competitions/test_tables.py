"""Tables as people have them, and one sentence for each that can't be used."""

import os

import numpy as np
import pandas as pd
import pytest

from orchestrator.competitions.tables import header, read_table, read_verbatim, write_csv
from orchestrator.errors import BadInput


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


class TestTypes:
    def test_numbers_flags_dates_and_texts(self, path):
        path.write_text("n,f,b,d,t,e,s\n1,1.5,True,2020-01-01,12:30,,a\n2,,False,2020-01-02,12:31,,None\n")
        frame = read_table(path)
        assert [str(kind) for kind in frame.dtypes[["n", "f", "b"]]] == ["int64", "float64", "bool"]
        assert frame["d"].tolist() == ["2020-01-01", "2020-01-02"] and frame["t"].tolist() == ["12:30", "12:31"]
        assert frame["e"].isna().all() and frame["s"].tolist() == ["a", "None"]

    def test_dates_that_show_up_late_stay_text(self, path):
        path.write_text("d\n" + "\n" * 0 + ",\n".replace(",", "NA") * 30000 + "2020-01-01\n")
        assert read_table(path)["d"].iloc[-1] == "2020-01-01"

    def test_verbatim_columns_keep_zeros_and_na(self, path):
        path.write_text("id,x\n007,1\nNA,2\n1.50,3\n")
        assert read_table(path, as_text=["id"])["id"].tolist() == ["007", "NA", "1.50"]
        assert read_verbatim(path)["x"].tolist() == ["1", "2", "3"]

    @pytest.mark.parametrize("stray", ["None", "?", "-"])
    def test_a_stray_mark_among_numbers_is_a_hole(self, path, stray):
        path.write_text(f"x,y\n1,a\n{stray},b\n3.5,{stray}\n")
        frame = read_table(path)
        assert frame["x"].isna().tolist() == [False, True, False] and frame["x"].dtype == float
        assert frame["y"].tolist() == ["a", "b", stray]

    def test_a_column_that_turns_into_text_far_down(self, path):
        path.write_text("x\n" + "1234567\n" * 2_200_000 + "late\n")
        assert read_table(path)["x"].iloc[-1] == "late"

    def test_columns_can_be_chosen(self, path):
        path.write_text("a,b,c\n1,2,3\n")
        assert list(read_table(path, columns=["c", "a"]).columns) == ["a", "c"]

    @pytest.mark.parametrize("mark", [";", "\t"])
    def test_other_delimiters(self, path, mark):
        path.write_text(f"a{mark}b\n1{mark}2,5\n")
        assert read_table(path)["b"].tolist() == ["2,5"]

    def test_quoted_newlines_and_commas(self, path):
        path.write_text('a,b\n"x, y\nz",1\n')
        assert read_table(path)["a"].tolist() == ["x, y\nz"]

    def test_a_byte_order_mark_and_windows_lines(self, path):
        path.write_bytes("\ufeffid,b\r\n1,é\r\n".encode())
        frame = read_table(path)
        assert list(frame.columns) == ["id", "b"] and frame["b"].tolist() == ["é"]

    def test_latin_1(self, path):
        path.write_bytes("a,b\n1,café\n".encode("latin-1"))
        assert read_table(path)["b"].tolist() == ["café"]

    def test_an_unnamed_column_gets_a_name(self, path):
        path.write_text('"",a\n0,1\n')
        assert list(read_table(path).columns) == ["column_0", "a"]

    def test_columns_of_one_name_are_told_apart(self, path):
        path.write_text("a,b,a,a.1,a,b\n1,2,3,4,5,6\n")
        names = ["a", "b", "a.2", "a.1", "a.3", "b.1"]
        assert header(path) == names and read_table(path).iloc[0].tolist() == [1, 2, 3, 4, 5, 6]
        assert read_table(path, columns=["a.2"], as_text=["a.2"])["a.2"].tolist() == ["3"]
        assert list(read_verbatim(path)) == names

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("mark", [",", ";", "\t"])
    def test_line_breaks_in_the_header(self, path, mark, end):
        path.write_bytes(f'"i{end}d"{mark}"a, ""b""{end}{end}c"{end}1{mark}x{end}2{mark}"y{end}z"{end}'.encode())
        frame = read_table(path)
        assert list(frame) == header(path) == [f"i{end}d", f'a, "b"{end}{end}c']
        assert frame.iloc[:, 0].tolist() == [1, 2] and frame.iloc[:, 1].tolist() == ["x", f"y{end}z"]

    def test_a_header_whose_quotes_go_wrong_is_its_first_line(self, path):
        path.write_text('id,5" pipe,"x"y\n1,2,3\n')
        assert header(path) == ["id", '5" pipe', "xy"] and read_table(path).iloc[0].tolist() == [1, 2, 3]

    def test_a_wide_header(self, path):
        names = [f"column {number:05d}" for number in range(20_000)]
        path.write_text(",".join(names) + "\n" + ",".join("1" * 20_000) + "\n")
        assert header(path) == names

    def test_what_is_written_is_read_again(self, path):
        frame = pd.DataFrame({"a": [1, 2], "b": ["x,y", 'say "hi"'], "c": [0.1, np.nan]})
        write_csv(path, frame)
        pd.testing.assert_frame_equal(read_table(path), frame)


class TestParquet:
    def test_types_are_those_of_csv(self, tmp_path):
        path = tmp_path / "table.parquet"
        days = pd.to_datetime(["2020-01-01", "2020-01-02"])
        frame = pd.DataFrame({"id": [7, 8], "d": days, "c": pd.Categorical(["a", None]), "l": [[1], [2]]}, index=[5, 6])
        frame.to_parquet(path)
        read = read_table(path, as_text=["id"])
        assert list(read.columns) == ["id", "d", "c", "l"] and read["id"].tolist() == ["7", "8"]
        assert read["d"].iloc[0].startswith("2020-01-01") and read["c"].isna().tolist() == [False, True]
        assert read["l"].tolist() == ["[1]", "[2]"]

    def test_a_torn_one(self, tmp_path):
        path = tmp_path / "table.parquet"
        pd.DataFrame({"a": [1, 2]}).to_parquet(path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(BadInput, match=r"table\.parquet is not a readable Parquet file"):
            read_table(path)


class TestBadFiles:
    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"", "is empty"),
            (b"a,b\n", "has a header but no rows"),
            (b"\n\n1,2\n", "starts with an empty line"),
            (b"a,b\n1,2\n1,2,3\n", "has 3 values where the header names 2 columns"),
            (b"a,b\n1,2\n1\n", "has 1 values where the header names 2 columns"),
            (b"a,b\n1,\x002\n", "holds NUL bytes"),
            (b"PK\x03\x04rest of a zip", "is a zip archive, not a CSV"),
            (b"\x1f\x8brest", "is a gzip archive"),
            (b"PAR1abc", "is a Parquet file"),
            ("a,b\n1,2\n".encode("utf-16"), "in UTF-16"),
            (bytes(range(1, 32)) * 20 + b"\xff\xfe\xfd", "is binary data"),
        ],
    )
    def test_content(self, path, content, sentence):
        path.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            read_table(path)
        assert sentence in str(caught.value) and str(path) in str(caught.value)

    def test_a_missing_file_a_folder_and_a_pipe(self, path, tmp_path):
        with pytest.raises(BadInput, match="is missing"):
            header(path)
        with pytest.raises(BadInput, match="is a folder, not a table"):
            header(tmp_path)
        os.mkfifo(path)
        with pytest.raises(BadInput, match="no regular file"):
            header(path)
