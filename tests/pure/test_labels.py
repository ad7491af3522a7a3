"""Labels, masks, selections."""

import json

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.difference import resize_maps
from emerdiff.emerdiff_ops.kmeans import one_hot
from emerdiff.emerdiff_ops.segments.labels import (
    assign,
    empty_masks,
    fill_masks,
    fingerprint,
    labels_to_rgb,
    masks_to_labels,
    segment_areas,
)
from emerdiff.emerdiff_ops.segments.selection import (
    parse_points,
    parse_points_in,
    parse_selection,
    parse_selections,
    select,
    split_fingerprint,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def label_maps(count):
    shapes = array_shapes(min_dims=2, max_dims=2, max_side=8)
    return arrays(np.int16, shapes, elements=st.integers(0, count - 1)).map(torch.from_numpy)


LABELS = torch.tensor([[0, 0, 1], [2, 2, 1], [3, 2, 1]], dtype=torch.int16)


@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.sampled_from([0, 0.5, 1, 2])))
def test_assign_is_the_argmax_with_ties_to_the_lowest(scores):
    labels = assign(torch.from_numpy(scores))
    assert labels.dtype == torch.int16
    np.testing.assert_array_equal(labels, scores.argmax(0))  # numpy's argmax takes the first of equals


def test_assign_takes_maps_one_at_a_time_and_resizes_them():
    scores = random(5, 6, 7)
    assert torch.equal(assign(iter(scores), (20, 31)), assign(resize_maps(scores, (20, 31))))


def test_assign_holds_few_maps_whatever_their_number():
    alive, most = set(), 0

    class Tracked(torch.Tensor):
        def __del__(self):
            alive.discard(id(self))

    def maps():
        nonlocal most
        for seed in range(40):
            tracked = random(4, 4, seed=seed).as_subclass(Tracked)
            alive.add(id(tracked))
            most = max(most, len(alive))
            yield tracked

    assign(maps(), (8, 8))
    assert 0 < most <= 4


def test_assign_changes_no_score_and_refuses_nan():
    scores = random(3, 4, 4)
    before = scores.clone()
    assign(scores)
    assert torch.equal(scores, before)
    scores[1, 2, 2] = float("nan")
    for size in (None, (9, 9)):
        with pytest.raises(ValueError, match="segment 1 holds NaN"):
            assign(scores, size)


def filled(labels, count):
    masks = empty_masks(len(labels), count, *labels.shape[1:])
    for each in zip(labels, masks):
        fill_masks(*each)
    assert torch.equal(masks, one_hot(labels, count))
    return masks.flatten(0, 1)


@given(label_maps(5))
def test_masks_and_labels_are_two_ways_to_say_the_same(labels):
    labels = torch.stack([labels, labels.flip(0)])
    masks = filled(labels, 5)
    assert masks.shape == (10, *labels.shape[1:]) and masks.dtype == torch.float32
    assert torch.equal(masks.reshape(2, 5, *labels.shape[1:]).sum(1), torch.ones(labels.shape))
    back = masks_to_labels(masks.reshape(2, 5, *labels.shape[1:]))
    assert back.dtype == torch.int16 and torch.equal(back, labels)


def test_masks_are_segment_major_inside_an_image():
    labels = torch.stack([LABELS, LABELS.flip(1)])
    masks = filled(labels, 4)
    for image in range(2):
        for segment in range(4):
            assert torch.equal(masks[image * 4 + segment].bool(), labels[image] == segment)


@given(label_maps(4))
def test_areas_are_the_means_of_the_masks(labels):
    areas = segment_areas(torch.stack([labels, labels]), 4)
    torch.testing.assert_close(areas, filled(torch.stack([labels, labels]), 4).mean((1, 2)).reshape(2, 4))


@given(st.sets(st.integers(0, 40)), st.data())
def test_selections_survive_being_written_in_any_way(numbers, data):
    pieces = [f"{n}" for n in data.draw(st.permutations(sorted(numbers)))]
    blank = st.text(" \t\n", max_size=2)
    text = ",".join(data.draw(blank) + piece + data.draw(blank) for piece in pieces)
    assert parse_selection(text + data.draw(st.sampled_from(["", ",", " , "])), 41) == sorted(numbers)


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_range_holds_both_its_ends(start, length):
    assert parse_selection(f" {start} - {start + length},", start + length + 1) == list(
        range(start, start + length + 1)
    )


def test_numbers_named_twice_count_once():
    assert parse_selection("3, 7-9, 8, 3", 10) == [3, 7, 8, 9]
    assert parse_selection("", 10) == parse_selection(" , ", 10) == []


@pytest.mark.parametrize(
    "piece", ["10", "8-10", "9-7", "-1", "1.5", "a", "1-", "1 2", "0x3", "1-2-3", "9" * 30, "\u0663"]
)
def test_a_bad_piece_is_quoted_with_the_valid_range(piece):
    with pytest.raises(ValueError, match="0-9") as error:
        parse_selection(f"1, {piece}", 10)
    assert f'"{piece}"' in str(error.value)


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("3, 7-9", [[3, 7, 8, 9]] * 3),
        ("", [[], [], []]),
        ("3; ; 5, 6", [[3], [], [5, 6]]),
        ("3;", [[3], [], []]),
        ("1;2;3; ;", [[1], [2], [3]]),
    ],
)
def test_one_list_is_for_all_pictures_and_several_are_one_a_picture(text, lists):
    assert parse_selections(text, 10, 3) == lists


def test_more_lists_than_pictures_are_refused():
    with pytest.raises(ValueError, match="3 lists.*2 pictures"):
        parse_selections("1; 2; 3", 10, 2)


def test_clipping_leaves_out_what_does_not_exist_and_nothing_else():
    assert parse_selections("3, 8-12, 40-50; 2; 5", 10, 2, clip=True) == [[3, 8, 9], [2]]
    for text in ("x", "9-7"):
        with pytest.raises(ValueError, match=text):
            parse_selections(text, 10, 2, clip=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("3, 7-9 @1a2b3c4d", ("3, 7-9", "1a2b3c4d")),
        ("3@1A2B3C4D ", ("3", "1a2b3c4d")),
        ("3, 7-9", ("3, 7-9", None)),
        ("3 @1a2b3c4", ("3 @1a2b3c4", None)),  # seven digits
        ("", ("", None)),
    ],
)
def test_a_fingerprint_at_the_end_is_split_off(text, parts):
    assert split_fingerprint(text) == parts


def test_a_fingerprint_tells_label_maps_apart_by_values_and_shape():
    labels = torch.arange(12, dtype=torch.int16).reshape(1, 3, 4)
    others = [labels.flip(-1), labels.reshape(1, 4, 3), labels.repeat(2, 1, 1), labels + 1]
    assert len({fingerprint(each) for each in (labels, *others)}) == 5
    assert fingerprint(labels.clone()) == fingerprint(labels.mT.contiguous().mT) == fingerprint(labels)
    assert split_fingerprint(f"1 @{fingerprint(labels)}") == ("1", fingerprint(labels))


def test_a_browser_reads_labels_from_colours_even_if_they_are_a_little_off():
    labels = torch.arange(2**15, dtype=torch.int16).reshape(1, 128, 256)
    colours = labels_to_rgb(labels)
    assert colours.shape == (1, 128, 256, 3) and colours.dtype == torch.uint8
    for off in (-4, 0, 3):
        red, green, blue = ((colours.int() + off) >> 3).unbind(-1)
        assert torch.equal(red + 32 * green + 1024 * blue, labels.int())


@given(st.text())
def test_any_text_is_a_selection_or_a_value_error(text):
    try:
        numbers = parse_selection(text, 6)
    except ValueError:
        return
    assert numbers == sorted(set(numbers)) and all(0 <= number < 6 for number in numbers)


@given(st.lists(st.tuples(st.floats(0, 31.99), st.floats(0, 15.99))))
def test_points_are_rounded_down(points):
    text = json.dumps([{"x": x, "y": y} for x, y in points])
    assert parse_points(text, 32, 16) == [(int(x), int(y)) for x, y in points]


def test_no_points_are_no_points():
    assert parse_points("", 4, 4) == parse_points(" \n", 4, 4) == []
    assert parse_points("[]", 4, 4) == parse_points('""', 4, 4) == []


def test_points_are_for_every_picture_or_a_list_for_each():
    sizes, point = [(4, 4), (8, 2)], {"x": 1, "y": 1}
    assert parse_points_in(sizes, json.dumps([point])) == [[(1, 1)], [(1, 1)]]
    assert parse_points_in(sizes, json.dumps([[], [{"x": 7, "y": 1}]])) == [[], [(7, 1)]]
    assert parse_points_in(sizes, "") == parse_points_in(sizes, "[[], []]") == [[], []]
    with pytest.raises(ValueError, match="points for 1 pictures, but 2 pictures"):
        parse_points_in(sizes, json.dumps([[point]]))
    with pytest.raises(ValueError, match="lies outside the image: x must be within 0-7 and y within 0-1"):
        parse_points_in(sizes, json.dumps([[point], [{"x": 1, "y": 3}]]))


def test_the_far_edge_belongs_to_the_last_pixel():
    assert parse_points('[{"x": 4, "y": 3}, {"x": 3.5, "y": 3.0}]', 4, 3) == [(3, 2), (3, 2)]


@pytest.mark.parametrize("text", ["[", "nonsense", "{}", "3", '"[]"', "null", "[" * 100_000, "[1" + "0" * 5000 + "]"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(ValueError, match="must be a JSON list such as") as error:
        parse_points(text, 4, 4)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    "point", ["1", "[1, 2]", "{}", '{"x": 1}', '{"x": "1", "y": 2}', '{"x": true, "y": 0}', "null"]
)
def test_a_point_of_another_shape_is_named(point):
    with pytest.raises(ValueError, match="point 2 of the list must look like"):
        parse_points(f'[{{"x": 1, "y": 1}}, {point}]', 4, 4)


@pytest.mark.parametrize(
    "x, y",
    [("4.1", "0"), ("0", "3.1"), ("-0.1", "0"), ("NaN", "0"), ("0", "Infinity"), ("1e999", "0"), ("1" * 400, "0")],
)
def test_a_point_outside_is_named_with_the_valid_range(x, y):
    with pytest.raises(ValueError, match=r"point 1 of the list, \(.*x must be within 0-3 and y within 0-2") as error:
        parse_points(f'[{{"x": {x}, "y": {y}}}]', 4, 3)
    assert len(str(error.value)) < 300


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("xyz"), inner),
    ).map(json.dumps)
)
def test_any_text_is_points_or_a_value_error(text):
    try:
        points = parse_points(text, 5, 7)
    except ValueError:
        return
    assert all(0 <= x < 5 and 0 <= y < 7 for x, y in points)


@pytest.mark.parametrize(
    "numbers, positive, negative, chosen",
    [
        ([], [], [], set()),
        ([0, 3], [], [], {0, 3}),
        ([0], [(2, 0), (2, 2)], [], {0, 1}),
        ([0, 1, 2], [], [(0, 1)], {0, 1}),
        ([], [(0, 2)], [(0, 2)], set()),
        ([], [], [(2, 1)], {0, 2, 3}),
        ([9], [], [], set()),
    ],
)
@pytest.mark.parametrize("invert", [False, True])
def test_selecting(numbers, positive, negative, chosen, invert):
    pixels = select(LABELS, numbers, positive, negative, invert)
    expected = [[(int(label) in chosen) != invert for label in row] for row in LABELS]
    assert pixels.dtype == torch.bool and pixels.tolist() == expected
