"""The input `preset`: options and default, what old workflows name, and what is refused, by the host's validation."""

import asyncio

import execution
import pytest
import torch
from comparing import prepare
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes.host import progress
from emerdiff.nodes.lift_mask import EmerDiffLiftMask
from emerdiff.nodes.modulate_and_assemble import EmerDiffModulateAndAssemble
from emerdiff.nodes.modulate_attention import EmerDiffModulateAttention
from emerdiff.nodes.segment_image import EmerDiffSegmentImage

NODES = [EmerDiffSegmentImage, EmerDiffModulateAttention, EmerDiffModulateAndAssemble, EmerDiffLiftMask]
LINKS = {name: [["9", 0]] for name in ("model", "vae", "conditioning", "image")}
CHOOSE = "choose one of paper, balanced, fast, draft"

each_node = pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)


@pytest.fixture
def said(monkeypatch):
    """The lines put on the node, in order."""
    lines = []
    monkeypatch.setattr(progress, "show_text", lines.append)
    return lines


def refusals(monkeypatch, node, preset) -> str:
    """What the host says of a prompt's preset, before it runs."""
    monkeypatch.setitem(execution.nodes.NODE_CLASS_MAPPINGS, node.__name__, node)
    prompt = {"1": {"class_type": node.__name__, "inputs": {"preset": preset}}}
    _, errors, _ = asyncio.run(execution.validate_inputs("", prompt, "1", {}))
    return " ".join(error["details"] for error in errors if error["type"] != "required_input_missing")


def run(node, source, image, preset):
    """What one of the nodes that work gives."""
    _, trajectory, low_res = prepare(source, image, 3)
    if node is EmerDiffLiftMask:
        return node.execute(*source, image, (image[..., 0] > 0.5).float(), preset, 0).result
    if node is EmerDiffModulateAttention:
        return node.execute(*source, trajectory, low_res, preset, image=image).result[0][:1]
    return node.execute(*source, image, trajectory, low_res, preset).result[:1]


@each_node
def test_there_are_four_presets_and_fast_is_the_default(node):
    (preset,) = [each for each in node.define_schema().inputs if each.id == "preset"]
    assert preset.options == ["paper", "balanced", "fast", "draft"] and preset.default == "fast"


@each_node
def test_the_host_takes_every_preset_and_one_that_is_gone_and_no_other(monkeypatch, node):
    assert [refusals(monkeypatch, node, preset) for preset in (*PRESETS, "thorough")] == [""] * 5
    for wrong in ("best", "", 3, {"__value__": ["fast"]}):
        assert CHOOSE in refusals(monkeypatch, node, wrong)


@pytest.mark.parametrize("node", NODES[1:], ids=lambda node: node.__name__)
def test_a_preset_that_is_gone_runs_as_its_successor_and_the_node_says_so_last(small, photo, said, caplog, node):
    photo = photo[:, :64, :64]
    now = run(node, small, photo, "balanced")
    assert "is gone" not in caplog.text
    before = run(node, small, photo, "thorough")
    assert all(torch.equal(*each) for each in zip(before, now, strict=True))
    assert '"thorough" is gone' in said[-1] and '"balanced"' in said[-1] and said[-1] in caplog.text
    with pytest.raises(ValueError, match=CHOOSE):  # as a link may bring it, which the host does not look at
        run(node, small, photo, "best")


def test_segment_image_hands_a_preset_that_is_gone_on_and_refuses_others_before_any_work():
    some = {"seed": [0], "segments": [8], "granularity": [0.3], "shared_clusters": [False]}
    inside = EmerDiffSegmentImage.execute(**LINKS, preset=["thorough"], **some).expand.values()
    (lifting,) = [each["inputs"] for each in inside if each["class_type"] == "EmerDiffModulateAndAssemble"]
    assert lifting["preset"] == "thorough"
    with pytest.raises(ValueError, match=CHOOSE):
        EmerDiffSegmentImage.execute(**LINKS, preset=["fast", "best"], **some)
