"""What the presets save: fewer steps, fewer decodings, and the same picture of each mask."""

import pytest
import torch
from comparing import prepare, scene_picture
from emerdiff.emerdiff_ops.borders import SELDOM, Look, weighted
from emerdiff.emerdiff_ops.grid import Grid, grid_over
from emerdiff.emerdiff_ops.modulation import PRESETS
from emerdiff.emerdiff_ops.segments.labels import assign
from emerdiff.nodes.host import latents, unet
from emerdiff.nodes.steps import read_out
from emerdiff.nodes.steps.modulate import Push, modulate_attention

from measure.metrics import bilinear_labels, scores
from small_model.scenes import HELD_OUT, scene

pytestmark = pytest.mark.once
LEVELS = {"paper": 15, "balanced": 4, "fast": 2, "draft": 0}
DECODED = {"paper": 6, "balanced": 4, "fast": 0, "draft": 0}  # pictures, for three masks
LOOKING = {"balanced", "fast", "draft"}  # at the picture: one more is decoded where it is not at hand


class Counted:
    """A progress bar that only counts."""

    def __init__(self):
        self.done = {}

    def step(self, kind, amount=1, preview=None):
        self.done[kind] = self.done.get(kind, 0) + amount


@pytest.fixture(scope="module")
def prepared(small, photo):
    with torch.inference_mode():
        return prepare(small, photo, 3)


@pytest.fixture
def finals():
    """Latents around a mid-grey picture, so that no decoded colour is cut off at black or white: three masks."""
    return 0.1 * torch.randn(7, 48, 32, 32, generator=torch.Generator().manual_seed(0))


def test_one_decoding_a_mask_shows_half_of_what_two_show(small, finals):
    """Exactly so for a decoder that is linear, as the small model's is."""
    pairs, halfway = (
        torch.stack([*read_out.READOUTS[readout].maps(small[1], finals, None, (128, 128), Counted(), finals.device)])
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
    guide = read_out.guide_of(small[1], latent, (126, 121), progress)
    look = Look(guide, grid_over((32, 32), (32, 32), (126, 121)))
    (map_,) = read_out.by_latents(small[1], torch.cat([latent, variants]), look, (126, 121), progress, latent.device)
    assert map_.shape == (126, 121) and progress.done == {"decoding": 1}
    inside = picture[0, :126, :121, 0] > 0
    found = map_ > 0.5 * map_.max()
    assert (found & inside).sum() / (found | inside).sum() > 0.9  # 0.65 without following the borders


@pytest.mark.parametrize(
    ("name", "at_hand"), [*((name, True) for name in PRESETS), *((name, False) for name in sorted(LOOKING))]
)
def test_each_preset_evaluates_and_decodes_no_more_than_it_says(small, photo, name, at_hand, monkeypatch):
    image = photo[:, :73, :66]
    _, trajectory, low_res = prepare(small, image, 3)
    decode, counts = latents.decode, {"decoded": 0, "evaluated": 0}

    def counted(vae, latent, size):
        counts["decoded"] += len(latent)
        return decode(vae, latent, size)

    monkeypatch.setattr(read_out, "decode", counted)
    handle = small[0].model.diffusion_model.out.register_forward_hook(
        lambda *_: counts.update(evaluated=counts["evaluated"] + 1)
    )
    try:
        maps = modulate_attention(small, trajectory, low_res, Push(name), rows=7, image=image if at_hand else None)
    finally:
        handle.remove()
    decoded = DECODED[name] + (name in LOOKING and not at_hand)
    assert counts == {"decoded": decoded, "evaluated": LEVELS[name]}
    assert maps.difference.shape == (1, 3, 73, 66) and torch.isfinite(maps.difference).all()
    assert (maps.difference.amax((-2, -1)) > 0).all()


@pytest.mark.parametrize("name", PRESETS)
def test_the_picture_itself_is_looked_at_where_it_is_at_hand(small, photo, prepared, name):
    """One with other borders gives other maps; the right one those of its latent, as this VAE loses nothing."""
    _, trajectory, low_res = prepared
    push = Push(name, relative=True, timestep=21)

    def maps(image):
        return modulate_attention(small, trajectory, low_res, push, image=image).difference

    decoded, turned = maps(None), photo.flip(1)
    assert torch.allclose(maps(photo), decoded, atol=1e-3 * decoded.max())
    assert torch.allclose(maps(turned), decoded, atol=1e-2 * decoded.max()) == (name not in LOOKING)
    with pytest.raises(ValueError, match="connect the image that was segmented"):
        maps(photo[:, :64])


def test_a_relative_strength_counts_in_the_layers_own_output(small, prepared):
    """Lambda is ten times the strength times the layer's root mean square; the paper's preset takes none of it."""
    _, trajectory, low_res = prepared
    layer, sizes = unet.find_layer(small.model, "auto", last=True), []
    transformer = small.model.model.diffusion_model.output_blocks[layer.number][1].transformer_blocks[layer.transformer]
    handle = transformer.attn2.register_forward_hook(lambda _, __, n: sizes.append(n.square().mean().sqrt().item()))

    def lifted(*push, **options):
        return modulate_attention(small, trajectory, low_res, Push(*push, **options)).difference

    relative = lifted("fast", 4.0, relative=True)
    handle.remove()  # its first call was at the level that is pushed
    assert torch.allclose(relative, lifted("fast", 40.0 * sizes[0]), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(relative, lifted("fast", 4.0), rtol=0.1)
    assert torch.equal(lifted("paper", 4.0, 41, relative=True), lifted("paper", 4.0, 41))


def test_maps_are_weighted_by_their_coarse_masks_along_the_pictures_borders():
    """The mask ends in the middle, the picture's border is elsewhere; a fiftieth is left where it does not reach."""
    picture = torch.zeros(64, 64, 3)
    picture[:, 36:] = 1.0
    masks = torch.zeros(2, 8, 8)
    masks[0, :, :4], masks[1, :, 4:] = 1, 1
    flat = torch.ones(2, 64, 64)
    look = Look(picture, Grid((8, 8), (64, 64), (64, 64)))
    left, right = weighted(flat, look, masks)
    assert left.min() >= SELDOM and left.max() <= 1
    assert (left[:, :34] > right[:, :34]).all() and (right[:, 38:] > left[:, 38:]).all()
    clear = torch.stack([flat[0], 100 * flat[1]])
    left, right = weighted(clear, look, masks)
    assert (right > left).all(), "an answer that is clear enough overrules its coarse mask"


def test_of_vague_answers_a_draft_remains(small, photo):
    """Where every mask is answered alike, the segments are the coarse masks along the borders, and not noise."""
    _, trajectory, low_res = prepare(small, photo, 4)
    vague, draft = (
        modulate_attention(small, trajectory, low_res, push).difference[0]
        for push in (Push("balanced", 0.01), Push("draft"))
    )
    labels = assign(vague / vague.amax((1, 2), keepdim=True), vague.shape[-2:])
    assert (labels == assign(draft, draft.shape[-2:])).float().mean() > 0.8


def test_a_draft_is_the_coarse_masks_along_the_pictures_borders(small):
    """On a scene more of the true regions than the coarse masks enlarged, whatever strength and timestep say."""
    true = scene(HELD_OUT)
    features, trajectory, low_res = prepare(small, scene_picture(), 6)
    maps = modulate_attention(small, trajectory, low_res, Push("draft", 3.0, 41)).difference
    assert torch.equal(maps, modulate_attention(small, trajectory, low_res, Push("draft")).difference)
    assert maps.amin() >= 0 and maps.amax() <= 1
    drafted, enlarged = (
        scores(labels, true.labels)
        for labels in (assign(maps[0], maps.shape[-2:]).numpy(), bilinear_labels(low_res.masks[0], maps.shape[-2:]))
    )
    assert drafted["f2"] > enlarged["f2"] + 0.1 and drafted["ari"] > enlarged["ari"]
