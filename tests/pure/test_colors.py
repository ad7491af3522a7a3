"""Colours that tell segments apart, and pictures that show them."""

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.segments import colors
from emerdiff.emerdiff_ops.segments.colors import as_pil, colorize, highlight, overlay, palette
from scipy import ndimage


def halves(height, width):
    labels = torch.zeros(1, height, width, dtype=torch.int16)
    labels[:, :, width // 2 :] = 1
    return labels


def test_a_colour_does_not_depend_on_the_count():
    most = palette(300)
    assert most.shape == (300, 3) and most.dtype == torch.float32 and 0 <= most.min() and most.max() <= 1
    for count in (1, 2, 20, 299):
        assert torch.equal(palette(count), most[:count])


@pytest.mark.parametrize("count, apart", [(10, 0.25), (20, 0.2), (40, 0.12), (256, 0.04)])
def test_colours_are_well_apart(count, apart):
    distances = torch.cdist(palette(count), palette(count)) + torch.eye(count) * 9
    assert distances.min() > apart


@pytest.mark.parametrize("eye", [colors.NO_RED, colors.NO_GREEN])
@pytest.mark.parametrize("count, apart", [(10, 0.06), (20, 0.045), (40, 0.03), (60, 0.025)])
def test_who_confuses_red_and_green_can_tell_them_apart(count, apart, eye):
    seen = torch.from_numpy(colors._oklab(palette(count).numpy().astype(float), eye))
    assert (torch.cdist(seen, seen) + torch.eye(count) * 9).min() > apart


def test_no_colour_glares():
    _, a, b = colors._oklab(palette(256).numpy().astype(float)).T
    assert np.hypot(a, b).max() < 0.19  # pure green has .29, pure magenta .32


def test_the_label_image_gives_each_segment_its_colour():
    labels = torch.randint(0, 9, (2, 7, 5), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    expected = np.stack([palette(9).numpy()[label] for label in labels.numpy()])
    np.testing.assert_array_equal(colorize(labels), expected)
    assert torch.equal(colorize(labels)[:1], colorize(labels[:1])[:1])


def test_the_plain_overlay_is_a_blend():
    image, labels = torch.rand(2, 6, 8, 3), torch.stack([halves(6, 8)[0], halves(6, 8)[0].flip(1)])
    expected = 0.7 * image + 0.3 * colorize(labels)
    torch.testing.assert_close(overlay(image, labels, 0.3, outline=False, numbers=False), expected)


@pytest.mark.parametrize("height, width", [(1, 1), (5, 300), (40, 40), (300, 200), (1100, 900)])
def test_every_size_of_image_and_any_number_type_works(height, width):
    image = torch.rand(1, height, width, 4).half()  # RGBA, half precision
    for picture in (overlay(image, halves(height, width)), highlight(image, halves(height, width).float())):
        assert picture.shape == (1, height, width, 3) and picture.dtype == torch.float32
        assert picture.isfinite().all() and picture.min() >= 0 and picture.max() <= 1


@pytest.mark.parametrize("ground", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [64, 512, 1500])
def test_borders_show_on_any_ground_and_only_where_segments_meet(size, ground):
    image, labels = torch.full((1, size, size, 3), ground), halves(size, size)
    plain = overlay(image, labels, 0.0, outline=False, numbers=False)
    lined = overlay(image, labels, 0.0, outline=True, numbers=False)[0]
    band = max(3, size // 100)
    middle = lined[:, size // 2 - band : size // 2 + band]
    assert (middle.amax((1, 2)) - middle.amin((1, 2))).min() > 0.3  # seen in every row
    changed = (lined != plain[0]).any(-1).any(0)
    assert changed.any() and not changed[: size // 2 - band].any() and not changed[size // 2 + band :].any()


@pytest.mark.parametrize("size", [32, 128, 512, 2000])
def test_numbers_stand_inside_their_segments(size):
    labels = halves(size, size)
    image = torch.full((1, size, size, 3), 0.5)
    plain = overlay(image, labels, numbers=False)
    written = (overlay(image, labels) != plain).any(-1)[0]
    ys, xs = written.nonzero().T
    for inside in (xs < size // 2, xs >= size // 2):
        assert inside.any()
        height = int(ys[inside].max() - ys[inside].min()) + 1
        assert height >= 8 and height >= size / 40  # legible, and growing with the picture
        middle = (ys[inside].float().mean(), (xs[inside].float().mean() - size / 4) % (size / 2))
        assert abs(middle[0] - size / 2) < size / 3 and min(middle[1], size / 2 - middle[1]) < size / 10


def test_each_number_is_drawn_once_at_its_largest_part():
    labels = torch.zeros(1, 200, 200, dtype=torch.int16)
    labels[0, 20:60, 20:60] = 1
    labels[0, 90:190, 90:190] = 1
    image = torch.zeros(1, 200, 200, 3)
    written = (overlay(image, labels) != overlay(image, labels, numbers=False)).any(-1)[0]
    assert written[120:160, 120:160].any() and not written[20:60, 20:60].any()


def test_segments_too_small_for_digits_get_none():
    labels = torch.zeros(1, 100, 100, dtype=torch.int16)
    labels[0, 50:60, :] = 1  # a strip of ten pixels
    labels[0, 60:, :] = 2
    image = torch.zeros(1, 100, 100, 3)
    written = (overlay(image, labels) != overlay(image, labels, numbers=False)).any(-1)[0]
    assert written[:50].any() and written[60:].any() and not written[50:60].any()


def test_numbers_of_different_segments_look_different():
    image, one = torch.zeros(1, 64, 64, 3), torch.zeros(1, 64, 64, dtype=torch.int16)
    drawn = [overlay(image, one + number, 0.0) for number in (0, 1, 10)]
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])


def test_batches_are_drawn_one_by_one_alike_and_the_input_is_left_alone():
    image = torch.rand(2, 80, 90, 3)
    labels, before = torch.cat([halves(80, 90), halves(80, 90).flip(2)]), image.clone()
    together = overlay(image, labels)
    assert torch.equal(together[1], overlay(image[1:], labels[1:])[0])
    assert torch.equal(highlight(image, labels.float())[1], highlight(image[1:], labels[1:].float())[0])
    assert torch.equal(image, before)


def test_a_picture_as_pil_has_the_side_asked_for_and_its_pixels_as_squares():
    picture = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])  # [1, 2, 3]
    image = as_pil(picture, 8)
    assert image.size == (8, 4)
    assert image.getpixel((3, 3)) == (255, 0, 0) and image.getpixel((4, 0)) == (0, 255, 0)


def widened(borders, size):
    """A window of scipy's, whose reflected borders bring nothing new."""
    return torch.from_numpy(ndimage.maximum_filter(borders.astype(np.uint8), size)).float()[..., None]


def highlight_by_its_formula(picture, mask):
    """Written out over whole pictures: dim grey and picture mixed by the mask; a seam of 3 widths, a line of 1."""
    dimmed = 0.45 * (picture @ torch.tensor(colors.LUMINANCE))[..., None]
    mixed = torch.lerp(dimmed.expand_as(picture), picture, mask[..., None])
    inside = (mask > 0.5).numpy()
    borders = np.zeros_like(inside)
    borders[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    borders[1:] |= inside[1:] != inside[:-1]
    width = max(1, round(min(inside.shape) / 450))
    seam, line = widened(borders, 3 * width), widened(borders, width)
    return torch.lerp(mixed * (1 - 0.4 * seam), torch.ones_like(mixed), 0.85 * line)


@pytest.mark.parametrize("height, width", [(1, 1), (3, 2), (5, 300), (720, 500), (1130, 1100)])
@pytest.mark.parametrize("kind", ["soft", "both", "noise"])
def test_the_highlight_is_its_formula(height, width, kind):
    """Lines of 1, 2 and 3 pixels; masks whose border runs along the picture's."""
    generator = torch.Generator().manual_seed(height)
    picture = torch.rand(height, width, 3, generator=generator)
    soft = torch.rand(1, 1, 4, 5, generator=generator)
    soft = torch.nn.functional.interpolate(soft, (height, width), mode="bicubic")[0, 0].clamp(0, 1)
    noise = (torch.rand(height, width, generator=generator) > 0.5).float()
    hard = (soft > 0.5).float()
    mask = {"hard": hard, "soft": soft, "both": torch.where(noise > 0, hard, soft), "noise": noise}[kind]
    ours = highlight(picture[None], mask[None])[0]
    torch.testing.assert_close(ours, highlight_by_its_formula(picture, mask), atol=1e-6, rtol=0)
