"""Every reader on files as other programs write them, and on what they do not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autolora.data import readers, sources
from autolora.data.table import Table
from autolora.errors import (
    DataUnreachable,
    MissingExtra,
    NoExamples,
    NoSuchData,
    NoSuchSplit,
    NotAFolderOfClasses,
    RaggedRow,
    RepeatedColumn,
    UnknownFormat,
    UnreadableData,
)
from autolora.registry import load, names

ROWS = {"text": ["plain", 'a "quoted", one', "two\nlines", "ünï \u2028 🙂"], "label": list("0110")}


@pytest.fixture
def write(tmp_path):
    def written(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return written


def read(where: str) -> Table:
    return sources.table(where, "train")


def picture(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), shade, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", names(readers))
def test_each_reader_says_what_it_reads(name):
    module = load(readers, name)
    assert not module.reads("nothing.of.this.kind")
    assert all(isinstance(suffix, str) for suffix in module.SUFFIXES)


class TestCsv:
    @pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_what_pandas_writes_comes_back(self, write, separator, ending, mark):
        import pandas as pd

        content = pd.DataFrame(ROWS).to_csv(sep=separator, lineterminator=ending, index=False)
        table = read(write("rows.csv", mark + content))
        assert table.columns == ROWS
        assert table.numbers == [2, 3, 4, 6]  # the third value has two lines

    def test_tabs_by_name(self, write):
        assert read(write("rows.tsv", "a,b\tc\n1,2\t3\n")).columns == {"a,b": ["1,2"], "c": ["3"]}

    def test_another_delimiter_than_the_usual_is_told(self, write):
        with pytest.raises(RaggedRow, match=r"separated by semicolons\) has 3 values .* 2 names"):
            read(write("rows.csv", "a;b\n1;2;3\n"))

    def test_long_values_are_values(self, write):
        long = "x" * 200_000
        table = read(write("rows.csv", f"text,label\nab,{long}\n"))
        assert table.columns == {"text": ["ab"], "label": [long]}

    def test_a_nul_is_no_text(self, write):
        """UTF-16 without its mark is read as UTF-8 with a NUL behind every letter."""
        with pytest.raises(UnreadableData, match=r"line 3 of .* holds a NUL character; save"):
            read(write("rows.csv", "text,label\na,b\na\0b,c\n"))

    def test_empty_lines_are_no_rows(self, write):
        assert read(write("rows.csv", "a,b\n\n1,2\n\n")).numbers == [3]

    @pytest.mark.parametrize(
        ("content", "error", "message"),
        [
            ("", NoExamples, "holds no examples"),
            ("\n \n", NoExamples, "holds no examples"),
            ("a,b\n", NoExamples, "holds no examples"),
            (
                "a,b\n1,2\n3\n",
                RaggedRow,
                r"line 3 of .*has 1 value and the header 2 names",
            ),
            ("a,b,a\n1,2,3\n", RepeatedColumn, 'two columns called "a"'),
            ('a,b\n1,2\n3,"4\n', UnreadableData, "line 3 of .* unexpected end of data"),
            ('a,b\n1,"2"2\n', UnreadableData, "line 2 of .* double quote"),
            (b"a,b\n1,2\n\xe4,2\n", UnreadableData, "line 3 of .* byte 0xe4 is no UTF-8"),
            ("a,b\n1,2\n".encode("utf-16"), UnreadableData, "save the file as UTF-8"),
        ],
    )
    def test_what_it_is_not(self, write, content, error, message):
        with pytest.raises(error, match=message):
            read(write("rows.csv", content))


class TestJsonl:
    def test_keys_are_columns(self, write):
        lines = [json.dumps({"text": "a\u2028b", "label": 1}, ensure_ascii=False), "", '{"x": [1]}']
        table = read(write("rows.jsonl", "\n".join(lines)))
        assert table.columns == {"text": ["a\u2028b", None], "label": [1, None], "x": [None, [1]]}
        assert table.place(1).startswith("line 3 of ")

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"a": 1', "line 2 of .*: Expecting ',' delimiter at column 8"),
            ("[1]", "line 2 of .* no object"),
            ("[" * 100_000, "line 2 of "),
            ('{"a": ' + "1" * 5000 + "}", "line 2 of .*digits"),
        ],
    )
    def test_a_broken_line_has_its_number(self, write, line, message):
        with pytest.raises(UnreadableData, match=message):
            read(write("rows.jsonl", '{"a": 1}\n' + line + "\n"))


class TestParquet:
    def test_what_pandas_writes_comes_back(self, tmp_path):
        import pandas as pd

        path = tmp_path / "rows.parquet"
        pd.DataFrame({**ROWS, "parts": [["a"], [], ["b", "c"], None]}).to_parquet(path)
        assert read(str(path)).columns == {**ROWS, "parts": [["a"], [], ["b", "c"], None]}

    def test_what_it_is_not(self, write, tmp_path):
        import pyarrow as pa
        from pyarrow import parquet

        with pytest.raises(UnreadableData, match=r"rows\.parquet cannot be read"):
            read(write("rows.parquet", "text,label\n"))
        with pytest.raises(UnreadableData, match=r"empty\.parquet cannot be read"):
            read(write("empty.parquet", ""))
        column = pa.array([], pa.string())
        for column_names, error in ((["a", "b"], NoExamples), (["a", "a"], RepeatedColumn)):
            made = pa.Table.from_arrays([column, column], names=column_names)
            parquet.write_table(made, tmp_path / "made.parquet")
            with pytest.raises(error):
                read(str(tmp_path / "made.parquet"))

    def test_without_pyarrow_the_extra_is_named(self, write, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(MissingExtra, match=r"autolora\[data\]"):
            read(write("rows.parquet", ""))


class TestFolder:
    def test_a_folder_a_class(self, tmp_path):
        files = [picture(tmp_path / name) for name in ("cat/b.png", "cat/x/a.png", "dog/c.jpg")]
        (tmp_path / ".hidden").write_text("")
        (tmp_path / "dog" / ".DS_Store").write_text("")
        table = read(str(tmp_path))
        assert table.columns == {"image": tuple(files), "label": ("cat", "cat", "dog")}

    def test_folders_of_splits(self, tmp_path):
        for split in ("train", "val", "test"):
            picture(tmp_path / split / "train" / "a.png")
        found = sources.tables(str(tmp_path))
        assert list(found) == ["test", "train", "valid"]
        assert found["valid"].columns["label"] == ("train",)

    def test_sounds(self, tmp_path):
        import soundfile

        (tmp_path / "one").mkdir()
        soundfile.write(tmp_path / "one" / "a.flac", np.zeros(8), 8000)
        assert set(read(str(tmp_path)).columns) == {"audio", "label"}

    def test_what_is_no_folder_of_classes(self, tmp_path):
        with pytest.raises(NotAFolderOfClasses, match="no image and no sound"):
            read(str(tmp_path))
        picture(tmp_path / "a.png")
        with pytest.raises(NotAFolderOfClasses, match=r"a\.png lies outside of every class"):
            read(str(tmp_path))


class TestDatasets:
    @pytest.fixture
    def dataset(self):
        from datasets import ClassLabel, Dataset, Features, List, Value

        kinds = {"text": Value("string"), "label": ClassLabel(names=["bad", "good"])}
        features = Features({**kinds, "tags": List(ClassLabel(names=["x", "y"]))})
        rows = {"text": ["a", "b", "c"], "label": [0, 1, -1], "tags": [[0], [], [1, 0]]}
        return Dataset.from_dict(rows, features=features)

    def test_a_saved_table_with_names_for_classes(self, dataset, tmp_path):
        dataset.save_to_disk(tmp_path / "saved")
        assert read(str(tmp_path / "saved")).columns == {
            "text": ["a", "b", "c"],
            "label": ["bad", "good", None],
            "tags": [["x"], [], ["y", "x"]],
        }

    def test_saved_splits(self, dataset, tmp_path):
        from datasets import DatasetDict

        DatasetDict(train=dataset, validation=dataset, other=dataset).save_to_disk(tmp_path / "s")
        found = sources.tables(str(tmp_path / "s"))
        assert list(found) == ["train", "valid"]
        assert found["valid"].source.endswith("#validation")
        with pytest.raises(NoSuchSplit, match="no split test; it has train, valid"):
            sources.table(str(tmp_path / "s"), "test")

    def test_images_stay_encoded(self, tmp_path):
        from datasets import Dataset, Features
        from datasets import Image as Feature

        content = picture(tmp_path / "a.png", 7).read_bytes()
        made = Dataset.from_dict({"image": [{"bytes": content}]}, Features({"image": Feature()}))
        made.save_to_disk(tmp_path / "saved")
        assert read(str(tmp_path / "saved")).columns["image"][0]["bytes"] == content

    def test_a_damaged_folder(self, tmp_path):
        (tmp_path / "dataset_info.json").write_text("{}")
        with pytest.raises(UnreadableData, match="cannot be read"):
            read(str(tmp_path))

    @pytest.mark.parametrize("name", ["hub:cola", "hub:", "hub:a/b/c/d"])
    def test_a_name_of_the_hub_has_an_owner(self, name):
        with pytest.raises(DataUnreachable, match="hub:owner/name"):
            read(name)

    def test_offline_is_one_sentence(self):
        code = "from autolora.data.sources import tables; tables('hub:nyu-mll/glue/cola#train')"
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env={"HF_HUB_OFFLINE": "1", "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        last = ended.stderr.strip().splitlines()[-1]
        assert 'DataUnreachable: the data set "hub:nyu-mll/glue/cola#train" cannot be had' in last
        assert "save_to_disk" in last


def test_what_is_not_there(write):
    for where in ("reviews.csv", "x" * 5000, "a\0b", ""):
        with pytest.raises(NoSuchData, match="no file, no folder and no data set of ours"):
            read(where)
    with pytest.raises(UnknownFormat, match=r"rows\.txt is in no format .*\.csv.*\.parquet"):
        read(write("rows.txt", "a"))
