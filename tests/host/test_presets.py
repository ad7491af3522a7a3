"""What the presets save: fewer steps, fewer decodings, and the same picture of each mask."""

import pytest
import torch
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes import host
from emerdiff.nodes.assemble import assemble_masks
from emerdiff.nodes.cluster import cluster_features
from emerdiff.nodes.extract import extract_features
from emerdiff.nodes.modulate import modulate_attention, read_out

from scenes import HELD_OUT, scene

pytestmark = pytest.mark.host

LEVELS = {"paper": 15, "balanced": 4, "fast": 2, "thorough": 15}
DECODED = {"paper": 6, "balanced": 4, "fast": 1, "thorough": 4}  # pictures, for three masks


class Counted:
    """A progress bar that only counts."""

    def __init__(self):
        self.done = {}

    def step(self, kind, amount=1, preview=None):
        self.done[kind] = self.done.get(kind, 0) + amount


@pytest.fixture
def finals():
    """Latents around a mid-grey picture, so that no decoded colour is cut off at black or white: three masks."""
    return 0.1 * torch.randn(7, 48, 32, 32, generator=torch.Generator().manual_seed(0))


def test_one_decoding_a_mask_shows_half_of_what_two_show(small, finals):
    """Exactly so for a decoder that is linear, as the small model's is."""
    pairs, halfway = (
        torch.stack([*read_out(small[1], finals, finals[:1], (128, 128), readout, Counted())])
        for readout in ("pairs", "halfway")
    )
    assert pairs.max() > 0.1
    assert torch.allclose(pairs, 2 * halfway, atol=1e-5)


def test_differences_of_latents_follow_the_borders_of_the_picture(small):
    """A change of whole cells, under a picture whose border is elsewhere: the map ends where the picture does."""
    picture = torch.zeros(1, 128, 128, 3)
    picture[:, 82:95, 18:37] = torch.tensor([0.8, 0.3, 0.1])
    latent, variants, progress = small[1].encode(picture), torch.zeros(2, 48, 32, 32), Counted()
    variants[1, :, 20:24, 4:10] = 1.0  # pixels 80 to 95, 16 to 39
    (map_,) = read_out(small[1], torch.cat([latent, variants]), latent, (126, 121), "latents", progress)
    assert map_.shape == (126, 121) and progress.done == {"decoding": 1}
    inside = picture[0, :126, :121, 0] > 0
    found = map_ > 0.5 * map_.max()
    assert (found & inside).sum() / (found | inside).sum() > 0.9  # 0.65 without following the borders


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_evaluates_and_decodes_no_more_than_it_says(small, photo, name, monkeypatch):
    image = photo[:, :121, :110]
    features, trajectory = extract_features(*small, image)
    low_res = cluster_features(features, segments=3)
    decode, counts = host.decode, {"decoded": 0, "evaluated": 0}

    def counted(vae, latents, size):
        counts["decoded"] += len(latents)
        return decode(vae, latents, size)

    monkeypatch.setattr(host, "decode", counted)
    unet = small[0].model.diffusion_model
    handle = unet.out.register_forward_hook(lambda *_: counts.update(evaluated=counts["evaluated"] + 1))
    try:
        maps = modulate_attention(*small, trajectory, low_res, preset=name, rows=7)
    finally:
        handle.remove()
    assert counts == {"decoded": DECODED[name], "evaluated": LEVELS[name]}
    assert maps.difference.shape == (1, 3, 121, 110) and torch.isfinite(maps.difference).all()
    assert (maps.difference.amax((-2, -1)) > 0).all()


def test_few_deterministic_steps_agree_with_the_papers_many(small):
    """The same segments in the main: on a held-out scene four of five pixels keep their label."""
    features, trajectory = extract_features(*small, torch.from_numpy(scene(HELD_OUT).image)[None])
    low_res = cluster_features(features, segments=6)
    paper, balanced, fast = (
        assemble_masks(modulate_attention(*small, trajectory, low_res, preset=name, strength=30.0)).labels
        for name in ("paper", "balanced", "fast")
    )
    agreement = [(each == paper).float().mean().item() for each in (balanced, fast)]
    print(f"labels as the paper preset's: balanced {agreement[0]:.1%}, fast {agreement[1]:.1%}")
    assert min(agreement) > 0.8
