"""Two prompts at a time do not see each other: the same values as one after the other, and nothing is kept."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.cluster import cluster_features
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.lift import Known, lift_mask
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Source

from small_model.model import load

SEEDS = (3, 4)


@pytest.fixture(scope="module")
def models():
    """Two small models of their own, the second's weights changed, so that each gives other masks."""
    pair = [load(), load()]
    for weight in pair[1][0].model.diffusion_model.parameters():
        weight.requires_grad_(False).mul_(0.9)
    return pair


def picture(seed):
    return torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(seed))


def segment(model, vae, conditioning, seed, start=None):
    """Every value of the four steps, and a lifted mask."""
    if start is not None:
        start.wait()
    with torch.inference_mode():
        shared, image = Source(model, vae, conditioning), picture(seed)
        features, trajectory = extract_features(shared, image, seed)
        masks = cluster_features(features, 2 + seed, seed)
        maps = modulate_attention(shared, trajectory, masks, Push("balanced"), rows=5)
        lifted = lift_mask(shared, image, (image[..., 0] > 0.5).float(), Push("fast"), Known(seed))
        return [*features, *trajectory, *masks, *maps, *assemble_masks(maps, image=image), lifted.soft]


def same(ours, theirs):
    return all(torch.equal(a, b) if torch.is_tensor(a) else a == b for a, b in zip(ours, theirs, strict=True))


@pytest.mark.once
def test_two_at_a_time_give_what_each_gives_alone(models):
    alone = [segment(*shared, seed) for shared, seed in zip(models, SEEDS)]
    assert not same(alone[0], alone[1])
    for _ in range(2):
        start = threading.Barrier(2)
        with ThreadPoolExecutor(2) as threads:
            runs = [threads.submit(segment, *shared, seed, start) for shared, seed in zip(models, SEEDS)]
            together = [run.result() for run in runs]
        assert all(map(same, together, alone))


def contents():
    """The names of all modules and classes of the pack, with what they hold."""
    held = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("emerdiff."):
            classes = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == name]
            for holder in (module, *classes):
                where = f"{name}.{getattr(holder, '__qualname__', '')}"
                held |= {f"{where}.{key}": shown(value) for key, value in vars(holder).items() if key != "__builtins__"}
    return held


def shown(value):
    return id(value), repr(value) if isinstance(value, (list, dict, set, tuple, str, int, float)) else None


@pytest.mark.once
def test_a_run_changes_no_module_and_no_class(models):
    segment(*models[0], 3)
    before = contents()
    assert "emerdiff.nodes.host.memory..log" in before and "emerdiff.emerdiff_ops.modulation..PRESETS" in before
    segment(*models[1], 4)
    after = contents()
    assert {key for key in before | after if before.get(key) != after.get(key)} == set()
