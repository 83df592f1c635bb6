"""The user's data from files to three splits, and every way in which they can be wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autolora.data.opened import Roles, classes, open_data
from autolora.data.options import DataOptions
from autolora.errors import (
    BadValue,
    EmptyText,
    GroupsOverlap,
    MissingColumn,
    MissingValue,
    NoExamples,
    NoSuchMedia,
    NoSuchSplit,
    NotAList,
    NotANumber,
    NotAText,
    NotMedia,
    OneClass,
    SplitsOverlap,
    TooFewExamples,
    TooFewGroups,
    UnknownKey,
    UnknownRole,
    UnseenLabel,
)
from autolora.space.read import validate

TEXT = Roles(("text", "label"), optional=("text_pair", "group"))
IMAGE = Roles(("image", "label"), files=("image",))
SIZES = {"train": 40, "valid": 10, "test": 20}


@pytest.fixture
def inside(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(count: int, start: int = 0) -> list[dict]:
    each = range(start, start + count)
    return [{"text": f"text {i}", "label": "ab"[i % 2], "group": f"g{i // 5}"} for i in each]


def write(name: str, lines: list[dict]) -> str:
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return name


def opened(options: object, roles: Roles = TEXT):
    return open_data(validate(options, DataOptions, "task.data"), roles)


def of(data, split: str, role: str = "text") -> list:
    return list(data.splits[split].columns[role])


@pytest.mark.usefixtures("inside")
class TestSplits:
    def test_one_table_is_dealt(self):
        write("rows.jsonl", [{k: r[k] for k in ("text", "label")} for r in rows(100)])
        data = opened({"path": "rows.jsonl", "splits": SIZES})
        assert {name: len(table) for name, table in data.splits.items()} == SIZES
        assert len({text for name in SIZES for text in of(data, name)}) == 70
        assert of(data, "train", "label").count("a") == 20
        place = data.splits["test"].place(0)
        assert place == f"line {int(of(data, 'test')[0].split()[1]) + 1} of rows.jsonl"

    def test_train_is_the_rest_unless_said(self):
        write("rows.jsonl", [{"text": f"{i}", "label": "ab"[i % 2]} for i in range(100)])
        for splits, expected in (
            ({}, (70, 15, 15)),
            ({"test": 50}, (35, 15, 50)),
            ({"train": 0.5, "valid": 0.25, "test": 0.25}, (50, 25, 25)),
            ({"train": 10, "valid": 0.25, "test": 0.255}, (10, 25, 25)),
        ):
            data = opened({"path": "rows.jsonl", "splits": splits})
            assert tuple(map(len, data.splits.values())) == expected

    def test_given_splits_are_kept_in_order_or_drawn_from(self):
        names = {n: write(f"{n}.jsonl", rows(50, i * 50)) for i, n in enumerate(SIZES)}
        data = opened(names)
        assert of(data, "valid") == [f"text {i}" for i in range(50, 100)]
        drawn = opened({**names, "splits": {"train": 10, "test": 0.5}})
        assert tuple(map(len, drawn.splits.values())) == (10, 50, 25)
        assert set(of(drawn, "train")) < set(of(data, "train"))
        assert of(drawn, "train", "label").count("a") == 5

    def test_what_is_not_given_is_dealt_from_train(self):
        names = {n: write(f"{n}.jsonl", rows(50, i * 50)) for i, n in enumerate(("train", "test"))}
        data = opened({**names, "splits": {"valid": 10}})
        assert of(data, "test") == [f"text {i}" for i in range(50, 100)]
        assert sorted(of(data, "train") + of(data, "valid")) == sorted(
            f"text {i}" for i in range(50)
        )
        groups = [set(of(data, name, "group")) for name in ("train", "valid")]
        assert not groups[0] & groups[1]

    def test_groups_stay_together(self):
        data = opened({"path": write("rows.jsonl", rows(100)), "splits": SIZES})
        groups = [set(of(data, name, "group")) for name in SIZES]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 20
        assert {name: len(table) for name, table in data.splits.items()} == SIZES
        one = [{**row, "group": "one"} for row in rows(100)]
        with pytest.raises(TooFewGroups, match=r"^1 group cannot .* 0 valid"):
            opened({"path": write("one.jsonl", one), "splits": SIZES})

    def test_a_copy_counts_once_whatever_its_label(self):
        copied = rows(50) + [{**row, "label": "b"} for row in rows(50)]
        write("rows.jsonl", [{k: r[k] for k in ("text", "label")} for r in copied])
        data = opened({"path": "rows.jsonl"})
        assert sorted(text for name in SIZES for text in of(data, name)) == sorted(
            row["text"] for row in rows(50)
        )
        with pytest.raises(TooFewExamples, match="50 distinct"):
            opened({"path": "rows.jsonl", "splits": SIZES})

    def test_overlap_of_given_splits_is_refused_or_dropped(self):
        names = {
            "train": write("train.jsonl", [*rows(50, 5), {**rows(1, 102)[0], "group": "g1"}]),
            "valid": write("valid.jsonl", [{**row, "group": "v"} for row in rows(20, 50)]),
            "test": write("test.jsonl", rows(50, 100)),
        }
        message = r"train and valid have 5 examples in common .*line 46 of train.* line 1 of valid"
        with pytest.raises(SplitsOverlap, match=message):
            opened(names)
        data = opened({**names, "overlap": "drop"})
        assert of(data, "train") == [f"text {i}" for i in range(5, 50)]
        assert len(of(data, "valid")) == 20
        assert len(of(data, "test")) == 50
        write("train.jsonl", rows(5, 100))
        with pytest.raises(NoExamples, match="train, without what is in test"):
            opened({**names, "overlap": "drop"})

    def test_a_group_in_two_given_splits_is_refused(self):
        names = {n: write(f"{n}.jsonl", rows(8, i * 8)) for i, n in enumerate(("train", "test"))}
        with pytest.raises(GroupsOverlap, match=r'train and test have 1 group in common .*"g1"'):
            opened(names)

    def test_numbers_are_dealt_over_their_whole_range(self):
        write("rows.jsonl", [{"text": f"{i}", "label": i / 7} for i in range(200)])
        data = opened({"path": "rows.jsonl"}, Roles(("text", "label"), numbers=("label",)))
        for name, table in data.splits.items():
            labels = np.array(table.columns["label"])
            assert abs(labels.mean() - 199 / 14) < 1, name
            assert labels.min() < 3

    def test_the_identity_is_that_of_contents_and_splits(self, inside):
        write("rows.jsonl", rows(100))
        first = opened({"path": "rows.jsonl", "splits": SIZES}).identity
        json.dumps(first)
        Path("rows.jsonl").rename("renamed.jsonl")
        assert opened({"path": "renamed.jsonl", "splits": SIZES}).identity == first
        assert opened({"path": "renamed.jsonl", "splits": {**SIZES, "seed": 1}}).identity != first
        changed = rows(100)
        for row in changed:
            row["label"] = "c" if row["label"] == "b" else "a"
        assert opened({"path": write("c.jsonl", changed), "splits": SIZES}).identity != first

    def test_a_seed_deals_the_same_in_another_process(self):
        write("rows.jsonl", rows(100))
        code = (
            "from autolora.data.opened import *; from autolora.data.options import DataOptions;"
            "print(open_data(DataOptions(path='rows.jsonl'), Roles(('text', 'label'))).identity)"
        )
        runs = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
            for seed in "12"
        }
        assert len(runs) == 1


@pytest.mark.usefixtures("inside")
class TestColumns:
    def test_a_role_has_its_column(self):
        lines = [{"sentence": f"{i}", "grade": i % 2, "other": 1} for i in range(20)]
        write("rows.jsonl", lines)
        columns = {"text": "sentence", "label": "grade"}
        data = opened({"path": "rows.jsonl", "columns": columns})
        assert set(data.splits["train"].columns) == {"text", "label"}
        assert classes(data) == ("0", "1")

    def test_a_missing_column_is_told_with_the_nearest(self):
        path = write("rows.jsonl", [{"sentence": "a", "lable": 1}])
        with pytest.raises(MissingColumn, match=r'no column "label"; it has .*\{label: lable\}'):
            opened({"path": path, "columns": {"text": "sentence"}})
        with pytest.raises(MissingColumn, match=r'no column "x" for the role "group"'):
            opened({"path": path, "columns": {"text": "sentence", "label": "lable", "group": "x"}})
        with pytest.raises(UnknownRole, match='no role "image"; its roles are text, label'):
            opened({"path": path, "columns": {"image": "sentence"}})

    @pytest.mark.parametrize(
        ("values", "error", "message"),
        [
            ({"text": ""}, EmptyText, r'line 2 of rows\.jsonl has an empty text .*"text"'),
            ({"text": " \n"}, EmptyText, "allow_empty: true"),
            ({"text": None}, MissingValue, r'line 2 of rows\.jsonl has no value .*"text"'),
            ({"label": ""}, MissingValue, '"label"'),
            ({"label": float("nan")}, MissingValue, '"label"'),
            ({"group": ""}, MissingValue, '"group"'),
            ({"text": ["a"]}, NotAText, r"has \['a'\]"),
        ],
    )
    def test_a_wrong_value_is_told_with_its_row(self, values, error, message):
        lines = rows(4)
        lines[1].update(values)
        with pytest.raises(error, match=message):
            opened(write("rows.jsonl", lines))

    def test_empty_texts_may_be_allowed(self):
        lines = [{"text": f"{i}", "text_pair": "", "label": i % 2} for i in range(20)]
        write("rows.jsonl", lines)
        with pytest.raises(EmptyText, match='"text_pair"'):
            opened("rows.jsonl")
        data = opened({"path": "rows.jsonl", "allow_empty": True})
        assert set(of(data, "train", "text_pair")) == {""}

    def test_any_unicode_is_a_text(self):
        texts = ["\0", "\u202e", "🙂", "e\u0301", "é", *map(str, range(15))]
        write("rows.jsonl", [{"text": t, "label": i % 2} for i, t in enumerate(texts)])
        with Path("rows.jsonl").open("a") as file:
            file.write('{"text": "half \\ud83d", "label": 1}\n')
        data = opened("rows.jsonl")
        found = {text for name in SIZES for text in of(data, name)}
        assert found == {*texts, "half \ufffd"}

    @pytest.mark.parametrize("value", ["many", "1,5", "inf", "nan", True, [1]])
    def test_what_is_no_number(self, value):
        lines = [{"text": "a", "label": 1}, {"text": "b", "label": value}]
        with pytest.raises(NotANumber, match=r"line 2 of rows\.jsonl has .* finite number"):
            opened(write("rows.jsonl", lines), Roles(("text", "label"), numbers=("label",)))

    def test_lists(self):
        roles = Roles(("text", "label"), lists=("label",))
        tags: list = [["x", "y"], [], "x | z", "", ["y"]]
        lines = [{"text": f"{i}", "label": tags[i % 5]} for i in range(50)]
        data = opened(write("rows.jsonl", lines), roles)
        assert set(of(data, "train", "label")) == {("x", "y"), (), ("x", "z"), ("y",)}
        assert classes(data, "label") == ("x", "y", "z")
        lines[1]["label"] = {"x": 1}
        with pytest.raises(NotAList, match=r"line 2 .* with \| between them"):
            opened(write("rows.jsonl", lines), roles)


@pytest.mark.usefixtures("inside")
class TestMedia:
    def picture(self, path: str, shade: int) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), shade, np.uint8)).save(path)

    def manifest(self, *more: str) -> str:
        for i in range(20):
            self.picture(f"set/pictures/{i}.png", i)
        lines = [f"pictures/{i}.png,{'ab'[i % 2]}" for i in range(20)]
        Path("set/rows.csv").write_text("\n".join(["image,label", *lines, *more]) + "\n")
        return "set/rows.csv"

    def test_a_manifest_names_files_beside_it(self, inside):
        data = opened(self.manifest(), IMAGE)
        for path in of(data, "test", "image"):
            assert path.is_absolute()
            assert path.parent == inside / "set" / "pictures"

    def test_copies_and_identity_are_by_content(self):
        first = opened(self.manifest(), IMAGE)
        shutil.copytree("set", "copy")
        assert opened("copy/rows.csv", IMAGE).identity == first.identity
        shutil.copy("set/pictures/0.png", "set/pictures/copy.png")
        data = opened(self.manifest("pictures/copy.png,b"), IMAGE)
        assert sum(map(len, data.splits.values())) == 20
        self.picture("copy/pictures/3.png", 99)
        assert opened("copy/rows.csv", IMAGE).identity != first.identity

    def test_a_relative_folder_of_classes(self, inside):
        for i in range(20):
            self.picture(f"set/{'ab'[i % 2]}/{i}.png", i)
        data = opened("./set", IMAGE)
        assert classes(data) == ("a", "b")
        assert all(inside in path.parents for path in of(data, "train", "image"))

    @pytest.mark.parametrize(
        ("line", "error", "message"),
        [
            ("pictures/x.png,a", NoSuchMedia, r"line 22 of set/rows\.csv names .*pictures/x\.png"),
            ("pictures,a", NoSuchMedia, "pictures"),
            ("rows.csv,a", NotMedia, r"line 22 .* rows\.csv is no image file"),
            ("empty.png,a", NotMedia, r"empty\.png is no image file"),
            ("sound.wav,a", NotMedia, r"sound\.wav is no image file"),
            (",a", MissingValue, r'line 22 .*"image"'),
        ],
    )
    def test_what_is_no_image(self, line, error, message):
        import soundfile

        path = self.manifest(line)
        Path("set/empty.png").touch()
        soundfile.write("set/sound.wav", np.zeros(8), 8000)
        with pytest.raises(error, match=message):
            opened(path, IMAGE)

    def test_encoded_media_become_files_of_the_cache(self, inside, monkeypatch):
        import pandas as pd

        monkeypatch.setenv("AUTOLORA_CACHE", str(inside / "cache"))
        self.manifest()
        contents = [Path(f"set/pictures/{i}.png").read_bytes() for i in range(20)]
        images = [{"bytes": content, "path": None} for content in contents]
        frame = pd.DataFrame({"image": images, "label": ["a", "b"] * 10})
        frame.to_parquet("rows.parquet")
        data = opened("rows.parquet", IMAGE)
        path = of(data, "train", "image")[0]
        assert path.suffix == ".png"
        assert path.read_bytes() in contents
        assert len(list((inside / "cache").rglob("*.png"))) == 20


@pytest.mark.usefixtures("inside")
class TestClasses:
    def data(self, train: list, valid: list):
        parts = {"train": train, "valid": valid, "test": train}
        return opened(
            {
                name: write(
                    f"{name}.jsonl",
                    [{"text": f"{name} {i}", "label": v} for i, v in enumerate(labels)],
                )
                for name, labels in parts.items()
            }
        )

    def test_whole_numbers_are_sorted_as_numbers(self):
        assert classes(self.data([10, 9, -1], [9])) == ("-1", "9", "10")
        assert classes(self.data(["b", "10", "9"], ["9"])) == ("10", "9", "b")

    def test_one_class_is_nothing_to_learn(self):
        with pytest.raises(OneClass, match=r'train \(train\.jsonl\) has the label "yes"'):
            classes(self.data(["yes", "yes"], ["yes"]))

    def test_a_label_that_train_does_not_have(self):
        with pytest.raises(UnseenLabel, match=r'line 2 of valid.* in valid, .* "c".* has a, b'):
            classes(self.data(["a", "b"], ["a", "c"]))


@pytest.mark.usefixtures("inside")
class TestOptions:
    def test_a_text_is_short_for_a_path(self):
        assert validate("cola", DataOptions, "data") == DataOptions(path="cola")

    @pytest.mark.parametrize("size", [0, -1, 0.0, 1.0, 1.5, "9"])
    def test_what_is_no_size(self, size):
        with pytest.raises(BadValue, match="a count of at least 1, or a share between 0 and 1"):
            validate({"path": "a", "splits": {"train": size}}, DataOptions, "data")

    def test_places_that_exclude_each_other(self):
        for options in ({}, {"path": "a", "train": "b"}, {"valid": "b"}):
            with pytest.raises(BadValue, match="write either path, or train"):
                validate(options, DataOptions, "data")
        with pytest.raises(BadValue, match="write train instead of path"):
            validate({"path": "a", "test": "b"}, DataOptions, "data")
        with pytest.raises(UnknownKey, match='did you mean "valid"'):
            validate({"path": "a", "splits": {"vaild": 3}}, DataOptions, "data")

    def test_too_many_are_asked(self):
        path = write("rows.jsonl", rows(10))
        with pytest.raises(TooFewExamples, match=r"9 train \+ 1 valid \+ 1 test .* 10 distinct"):
            opened({"path": path, "splits": {"train": 9}})

    def test_splits_of_a_folder_without_train(self):
        for split in ("valid", "test"):
            for label in "ab":
                TestMedia().picture(f"set/{split}/{label}/x.png", len(split) + ord(label))
        with pytest.raises(NoSuchSplit, match="no split train"):
            opened("set", IMAGE)
