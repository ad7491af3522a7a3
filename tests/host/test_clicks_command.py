"""`lab/run.py clicks`: how clicks are placed and counted, and its answers, which are those of the node."""

import numpy as np
import pytest
import torch
from emerdiff.nodes.steps.pick import pick_by_points
from PIL import Image

from measure.beds import SMALL_MODEL
from measure.clicks import READING, answers_of, clicks_to, scores
from measure.metrics import interior
from measure.pipeline import Pipeline
from measure.things import Thing, things, with_grabcut, written
from small_model.photographs import Photograph
from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once


def thing(counts=None) -> Thing:
    """The left 20 of 40 columns."""
    mask = np.zeros((20, 40), bool)
    mask[:, :20] = True
    return Thing("a bar", mask, np.ones_like(mask) if counts is None else counts)


def columns(*widths: int) -> list[np.ndarray]:
    return [np.arange(40)[None].repeat(20, 0) < width for width in widths]


def test_each_click_lies_in_the_larger_error_until_the_last_goal_is_reached():
    seen = []

    def answer(positive, negative):
        seen.append((positive, negative))
        return columns((10, 26, 20)[len(seen) - 1], 1)  # the best of several counts

    assert scores(answer, thing(), 20) == [0.5, pytest.approx(20 / 26), 1.0]
    first, second, third = seen
    assert thing().mask[first[0][0]] and first[1] == ()
    assert len(second[0]) == 2 and second[0][1][1] >= 10, "what was missing"
    assert len(third[1]) == 1 and 20 <= third[1][0][1] < 26, "what was too much"
    assert [clicks_to(goal, [0.5, 0.86, 1.0], 20) for goal in (0.85, 0.9, 0.4)] == [2, 3, 1]
    assert clicks_to(0.85, [0.5], 20) == 20


def test_a_refused_click_leaves_what_there_was_and_a_border_is_not_judged():
    def once(positive, negative):
        if len(positive + negative) > 1:
            raise ValueError("a positive and a negative point lie in the same cell")
        return columns(10)

    assert scores(once, thing(), 4) == [0.5] * 4
    border = ~np.pad(np.ones((20, 8), bool), ((0, 0), (20, 12)))
    assert scores(lambda *_: columns(28), thing(border), 4) == [1.0]


def test_the_borders_of_grabcuts_masks_do_not_count_and_its_pictures_come_in_turn(tmp_path):
    (tmp_path / "grabcut").mkdir()
    drawn = np.array([[0, 128, 255]], np.uint8).repeat(4, 0)
    Image.fromarray(drawn).save(tmp_path / "grabcut" / "one.mask.png")
    seen = Photograph("bsds/one", np.zeros((4, 3, 3), np.float32), np.zeros((1, 4, 3), int), ())
    (found,) = things(seen, tmp_path)
    assert (found.mask == (drawn == 255)).all() and (found.counts == (drawn != 128)).all()
    assert [*with_grabcut([{"seed": "coco/1"}, {"seed": "coco/2"}], tmp_path)] == ["coco/1", "bsds/one", "coco/2"]


def test_the_answers_are_the_nodes_own():
    true = scene(HELD_OUT + 3)
    with torch.inference_mode():
        pipeline, picture = Pipeline(torch.float32, SMALL_MODEL), torch.from_numpy(true.image)[None]
        read, answers = pipeline.features(true.image, 0, reading=READING), answers_of(pipeline, true.image)
        one, other = ((interior(true.labels == number),) for number in (2, 3))
        for positive, negative in ((one, ()), (one, other)):
            (shown,) = answers["shown first"][0](positive, negative)
            own = pick_by_points(*read, picture, written(positive), written(negative))[0]
            assert (shown == (own > 0.5).numpy()).all()
            every = answers["best level"][0](positive, negative)
            assert len(every) > 1 and any((shown == level).all() for level in every)
        for way in ("shown first", "best level"):
            with pytest.raises(ValueError, match="the same cell"):
                answers[way][0](one, one)
        own = answers["segment"][0](one, ())[0]
        becoming = answers["its best ancestor"][0](one, ())
        assert own[one[0]] and all((smaller <= larger).all() for smaller, larger in zip(becoming, becoming[1:]))
        assert (becoming[0] == own).all() and len(becoming) > 1
