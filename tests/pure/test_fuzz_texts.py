"""Texts that people and other nodes write: whatever they hold is read as it should be, or refused in a sentence."""

import json
import os
import tempfile
import time

import pytest
from emerdiff.emerdiff_ops.files import names
from emerdiff.emerdiff_ops.segments.texts import Part, parse_boxes_in, parse_lists, parse_points_in, split_fingerprint
from emerdiff.emerdiff_ops.text_scores import split_phrases
from hypothesis import given, settings
from hypothesis import strategies as st

from refusals import Finding, refused

HUGE = "9" * 5000  # more digits than Python turns into a number
DIGITS = "0123456789\u0663\u096b\uff17\u00b2"  # digits to str.isdigit or to int, not all of them to both
ODD_NUMBERS = st.sampled_from([0, -1, 1e308, -1e999, float("nan"), 10**18, True, None, "3", "\u0663", [], {}, 63.99])
SELECTIONS = st.text(f"{DIGITS}-,; @ax.\t\n") | st.lists(
    st.sampled_from(["3", "1-4", "5-1", " ", ";", "@0a1b2c3d", HUGE])
)
NESTED = st.recursive(
    ODD_NUMBERS | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["x", "y", "width", "height", "label"]), inner)
    ),
)
DEEP = [
    opening * depth + closing * depth for opening, closing in ("[]", ('{"x":', "}")) for depth in (400, 900, 20_000)
]
JSONS = st.text() | NESTED.map(json.dumps) | st.sampled_from([*DEEP, f"[{HUGE}]", f'[{{"x": {HUGE}, "y": 1}}]'])
ODD_NAMES = [*".. . / \\ // C: CON nul.txt com\u00b9 a a. \0 \udc80".split(" "), "b ", "\n", "x" * 300]
NAMES = st.text() | st.lists(st.sampled_from(ODD_NAMES)).map("".join)


def read_selection(text):
    selection, _ = split_fingerprint(text)
    for clip in (False, True):
        lists = refused(parse_lists, selection, [6] * 2, clip)
        assert lists is None or len(lists) == 2
        for each in lists or []:
            numbers, parts = ([pick for pick in each if isinstance(pick, Part) == is_part] for is_part in (False, True))
            assert each == [*sorted(set(numbers)), *sorted(set(parts))]
            assert {*numbers, *(part.number for part in parts)} <= set(range(6))


def read_points(text):
    (points,) = refused(parse_points_in, [(64, 48)], text) or [[]]
    assert all(0 <= x < 64 and 0 <= y < 48 for x, y in points)


def read_boxes(text):
    lists = refused(parse_boxes_in, [(64, 48)] * 2, text)
    assert lists is None or len(lists) == 2
    boxes = [box for each in lists or [] for box in each]
    assert all(0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 48 for x1, y1, x2, y2 in boxes)


def read_phrases(text):
    phrases = refused(split_phrases, text)
    assert phrases is None or (phrases and all(phrases))


def read_name(name):
    """As far as the disk: whatever is not refused lies inside."""
    root = tempfile.gettempdir()

    def located(name):
        names.check_name(name)
        return names.inside(name, [root])

    path = refused(located, name)
    assert path is None or (names.is_inside(path, root) and os.path.isfile(path) in (True, False))


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (read_selection, SELECTIONS | st.text()),
        (read_points, JSONS),
        (read_boxes, JSONS | st.text("0123456789 ,;.[](){}-")),
        (read_phrases, st.text()),
        (read_name, NAMES | st.just("\u0130")),
    ],
)
def test_any_text_is_read_or_refused_in_a_sentence(read, texts):
    @given(texts)
    @settings(max_examples=200)
    def check(text):
        read("".join(text))

    check()


def test_a_crash_a_sentence_of_pythons_and_a_wrong_value_are_all_found():
    for broken in (lambda: int("x"), lambda: json.loads("["), lambda: "\ud800".encode(), lambda: float("1 2")):
        with pytest.raises((Finding, ValueError)) as error:
            refused(broken)
        assert error.type is Finding
    with pytest.raises(RecursionError):
        refused(json.loads, "[" * 100_000)


@pytest.mark.parametrize("text", DEEP, ids=len)
def test_lists_within_lists_are_refused(text):
    for parse in (parse_boxes_in, parse_points_in):
        with pytest.raises(ValueError) as error:
            parse([(8, 8)], text)
        assert len(str(error.value)) < 300


def test_lists_within_lists_are_refused_when_another_node_gives_them():
    boxes = []
    for _ in range(5000):
        boxes = [boxes]
    for value in (boxes, [{"x": boxes, "y": 0, "width": 1, "height": 1}]):
        with pytest.raises(ValueError, match="without end"):
            parse_boxes_in([(8, 8)], value)


@pytest.mark.parametrize("text", ["\u0663", "1-\uff17", HUGE, f"0-{HUGE}", "\u00b2"])
def test_only_plain_digits_of_sensible_length_are_numbers(text):
    with pytest.raises(ValueError, match="selects no segments: use numbers and ranges within 0-5"):
        parse_lists(text, [6])


@pytest.mark.parametrize("text", [" " * 200_000, "@" + " " * 200_000 + "x", "1" + "\t@" * 100_000, "1," * 100_000])
def test_a_long_text_is_read_in_no_time(text):
    begin = time.perf_counter()
    numbers, _ = split_fingerprint(text)
    refused(parse_lists, numbers, [6])
    assert time.perf_counter() - begin < 2


# -- names of files


@pytest.mark.parametrize(
    "name",
    [
        "//host/share/x", "\\\\host\\share\\x", "/\\host\\x", "\\\\?\\C:\\x", "C:\\x", "c:x", "C:/x",
        "CON", "nul", "aux.txt", "sub/COM1.safetensors", "lpt9 .x", "com\u00b9", "CONIN$", "PRN/x",
        "a\0b", "a\nb", "a\x7fb", "a\ud800b", "a:b/c:d", "a?", "a*", "a|b", "<a>", 'a"b',
        "x.", "x ", "sub. /x", "sub /x", "x" * 256, "\u00e9" * 128, "sub/" * 300 + "x",
    ],
    ids=lambda name: ascii(name)[1:30],
)  # fmt: skip
def test_names_that_some_system_cannot_have_are_refused_before_anything_looks(name, monkeypatch):
    asked = []
    with monkeypatch.context() as patched, pytest.raises(ValueError) as error:
        for function in ("stat", "lstat", "readlink"):
            patched.setattr(os, function, lambda *_, **__: asked.append(name))
        names.check_name(name)
    sentence = str(error.value)
    assert "no file name on every system" in sentence or "on another computer or drive" in sentence
    assert sentence.isprintable() and len(sentence) < 400 and not asked


@pytest.mark.parametrize(
    "name",
    ["", "emerdiff/value_00001_.safetensors", "console.x", "com10", "comet/nullify", ".hidden", "../x", "./x", "/a/b"]
    + ["a b-c_d (1)", "\u00e9t\u00e9/\u6f22\u5b57", "x" * 255, "a.b.c", "\u00e9" * 127],
    ids=lambda name: ascii(name)[1:30],
)
def test_names_that_every_system_can_have_are_taken(name):
    names.check_name(name)
