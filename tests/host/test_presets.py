"""What the presets save: fewer steps, fewer decodings, and the same picture of each mask."""

import pytest
import torch
from comparing import prepare
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.nodes.host import latents
from emerdiff.nodes.steps import read_out
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.modulate import Push, modulate_attention

from small_model.scenes import HELD_OUT, scene

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
        torch.stack([*read_out.read_out(small[1], finals, finals[:1], (128, 128), readout, Counted())])
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
    (map_,) = read_out.read_out(small[1], torch.cat([latent, variants]), latent, (126, 121), "latents", progress)
    assert map_.shape == (126, 121) and progress.done == {"decoding": 1}
    inside = picture[0, :126, :121, 0] > 0
    found = map_ > 0.5 * map_.max()
    assert (found & inside).sum() / (found | inside).sum() > 0.9  # 0.65 without following the borders


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_evaluates_and_decodes_no_more_than_it_says(small, photo, name, monkeypatch):
    image = photo[:, :121, :110]
    _, trajectory, low_res = prepare(small, image, 3)
    decode, counts = latents.decode, {"decoded": 0, "evaluated": 0}

    def counted(vae, latent, size):
        counts["decoded"] += len(latent)
        return decode(vae, latent, size)

    monkeypatch.setattr(read_out, "decode", counted)
    unet = small[0].model.diffusion_model
    handle = unet.out.register_forward_hook(lambda *_: counts.update(evaluated=counts["evaluated"] + 1))
    try:
        maps = modulate_attention(small, trajectory, low_res, Push(name), rows=7)
    finally:
        handle.remove()
    assert counts == {"decoded": DECODED[name], "evaluated": LEVELS[name]}
    assert maps.difference.shape == (1, 3, 121, 110) and torch.isfinite(maps.difference).all()
    assert (maps.difference.amax((-2, -1)) > 0).all()


def test_few_deterministic_steps_agree_with_the_papers_many(small):
    """The same segments in the main: on a held-out scene four of five pixels keep their label."""
    _, trajectory, low_res = prepare(small, torch.from_numpy(scene(HELD_OUT).image)[None], 6)
    paper, balanced, fast = (
        assemble_masks(modulate_attention(small, trajectory, low_res, Push(name, 30.0))).labels
        for name in ("paper", "balanced", "fast")
    )
    agreement = [(each == paper).float().mean().item() for each in (balanced, fast)]
    print(f"labels as the paper preset's: balanced {agreement[0]:.1%}, fast {agreement[1]:.1%}")
    assert min(agreement) > 0.8
