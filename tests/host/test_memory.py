"""What runs out, what is held, and what is left behind."""

import gc
import weakref
from pathlib import Path

import comfy.model_management
import comfy.utils
import pytest
import torch
from comparing import prepare, smooth_picture
from emerdiff.emerdiff_ops.segments.labels import empty_masks, fill_masks
from emerdiff.nodes.cluster_features import EmerDiffClusterFeatures
from emerdiff.nodes.extract_features import EmerDiffExtractFeatures
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.hooks import Modulation, QueryCapture
from emerdiff.nodes.host.memory import rows_that_fit
from emerdiff.nodes.modulate_and_assemble import EmerDiffModulateAndAssemble
from emerdiff.nodes.select_segments import EmerDiffSelectSegments
from emerdiff.nodes.steps import read_out, segment
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.score_text import Respondent
from emerdiff.nodes.steps.segment import segment_pictures

from measure.timing import peak, reset_peak

READS_PEAK = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak")


@pytest.fixture(scope="module")
def prepared(small, photo):
    with torch.inference_mode():
        return prepare(small, photo[:, :64, :64], 6)[1:]


def with_limit(model, limit, evaluations):
    """The model on a device where a batch of more than limit() rows runs out of memory; notes what went through."""
    model = model.clone()

    def wrapper(apply, arguments):
        rows, sigma = len(arguments["input"]), arguments["timestep"][0].item()
        if rows > limit():
            raise comfy.model_management.OOM_EXCEPTION("CUDA out of memory. Tried to allocate 2.00 GiB")
        evaluations.append((sigma, rows))
        return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model.set_model_unet_function_wrapper(wrapper)
    return model


def test_out_of_memory_halves_the_batch_and_goes_on(small, prepared):
    """Nothing that was computed is computed again: every level is run once, whenever memory runs out."""
    expected, evaluations = modulate_attention(small, *prepared, Push("balanced"), rows=13), []
    model = with_limit(small[0], lambda: 13 if len(evaluations) < 2 else 6, evaluations)
    found = modulate_attention(small._replace(model=model), *prepared, Push("balanced"), rows=13)
    assert (found.difference - expected.difference).abs().max() < 1e-4 * expected.difference.max()
    rows = [[each for sigma, each in evaluations if sigma == level] for level in dict(evaluations)]
    assert rows == [[13], [13], [6, 6, 3], [6, 6, 3]]  # thirteen rows are twelve variants and row 0


def test_the_smaller_batch_is_kept_for_what_follows(small, prepared):
    failures, evaluations = [], []

    def limit():
        failures.append(True)
        return 5

    limited = small._replace(model=with_limit(small[0], limit, evaluations))
    modulate_attention(limited, *prepared, Push("fast"), rows=13)
    assert len(failures) - len(evaluations) == 2  # 13 rows, then 6; never again


def test_a_single_mask_that_does_not_fit_is_said(small, prepared):
    model = with_limit(small[0], lambda: 1, [])
    with pytest.raises(comfy.model_management.OOM_EXCEPTION, match="lower resolution"):
        modulate_attention(small._replace(model=model), *prepared, Push("fast"))


def test_other_failures_are_not_taken_for_a_lack_of_memory(small, prepared):
    model, calls = small[0].clone(), []

    def broken(apply, arguments):
        calls.append(1)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    model.set_model_unet_function_wrapper(broken)
    with pytest.raises(RuntimeError, match="mat1"):
        modulate_attention(small._replace(model=model), *prepared, Push("fast"))
    assert len(calls) == 1


def test_words_go_on_with_fewer_rows_too(small):
    layers, latent = unet.coarsest_output_layers(small[0]), torch.randn(1, 48, 16, 16)
    noise = torch.randn(2, 4, 48, 16, 16, generator=torch.Generator().manual_seed(0))
    groups = torch.ones(1, small[2][0][0].shape[1])

    class Progress:
        def step(self, kind, amount):
            counted.append(amount)

    def answers(model):
        return Respondent(model, layers, (601, 301), noise, Progress()).respond(small.conditioning, groups, latent)

    counted = []
    expected, evaluations = answers(small[0]), []
    counted.clear()
    found = answers(with_limit(small[0], lambda: 3, evaluations))
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert [rows for _, rows in evaluations] == counted == [2, 2, 2, 2]


def test_the_host_keeps_memory_free_for_the_whole_batch(sd1, photo, monkeypatch):
    _, trajectory, low_res = prepare(sd1, photo, 4)
    asked, load = [], comfy.model_management.load_models_gpu

    def spy(models, memory_required=0, **options):
        asked.append(memory_required)
        return load(models, memory_required=memory_required, **options)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", spy)
    modulate_attention(sd1, trajectory, low_res, Push(timestep=1), rows=9)
    assert max(asked) >= sd1[0].memory_required([9, *trajectory.latent.shape[1:]])


def test_weights_still_to_be_loaded_are_left_room(sd1):
    class Model:
        """A card with 8 GB free, a model of 5."""

        load_device = torch.device("cpu")
        loaded = 0

        def get_model_object(self, name):
            return sd1[0].get_model_object(name)

        def memory_required(self, shape):
            return shape[0] * 99e6

        def get_free_memory(self, device):
            return 8e9 - self.loaded

        def model_size(self):
            return 5e9

        def loaded_size(self):
            return self.loaded

    cold, warm = Model(), Model()
    warm.loaded = 5e9
    assert rows_that_fit(cold, (64, 64)) == rows_that_fit(warm, (64, 64)) == 21


def living(kind) -> list:
    return [each for each in gc.get_objects() if isinstance(each, kind)]


def test_nothing_is_held_after_a_run_a_failure_and_a_cancel(small, photo, monkeypatch):
    held = []

    def run():
        _, trajectory, low_res = prepare(small, photo, 3)
        held.extend(weakref.ref(each) for each in (trajectory.latent, low_res.masks))
        maps = modulate_attention(small, trajectory, low_res, Push("fast"))
        held.append(weakref.ref(maps.difference))

    def fail(*_):
        raise RuntimeError("decoder broke")

    def cancel(*_, **__):
        raise comfy.model_management.InterruptProcessingException

    run()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(read_out, "decode", fail)
        run()
    with monkeypatch.context() as patch, pytest.raises(comfy.model_management.InterruptProcessingException):
        patch.setattr(comfy.utils.ProgressBar, "update_absolute", cancel)
        run()
    gc.collect()
    assert len(held) >= 5 and not [each() for each in held if each() is not None]
    assert not living(Modulation) and not living(QueryCapture)


@pytest.mark.once
@pytest.mark.parametrize("preset", ["paper", "balanced", "fast"])
def test_maps_are_reduced_as_they_come(small, photo, preset, monkeypatch):
    """Segment Image never holds all the maps, and gives what the two steps give that do."""
    image = torch.nn.functional.interpolate(photo.movedim(-1, 1), (150, 140), mode="bilinear").movedim(1, -1)
    _, trajectory, low_res = prepare(small, image, 5, resolution=64)
    push = Push(preset, relative=True)
    steps = assemble_masks(modulate_attention(small, trajectory, low_res, push, image=image), image=image)
    most, maps_of_pictures = [], segment.maps_of_pictures

    def watched(*arguments, **options):
        for maps in maps_of_pictures(*arguments, **options):
            yield lambda device, maps=maps: watch(maps(device))

    def watch(maps):
        storages = {}
        for each in maps:
            storages[each.untyped_storage().data_ptr()] = weakref.ref(each)
            most.append(sum(ref() is not None for ref in storages.values()))
            yield each
            del each

    monkeypatch.setattr(segment, "maps_of_pictures", watched)
    one = segment_pictures(small, image, trajectory, low_res, preset)
    assert torch.equal(one.labels, steps.labels) and one.count == steps.count == 5
    assert len(most) == 5 and max(most) <= 2


@pytest.mark.once
@READS_PEAK
def test_a_large_picture_with_sixty_segments_stays_within_its_bound(small):
    """1536 x 1536, K = 60: the masks themselves are .57 GB; everything else together stays below that."""
    image = smooth_picture(1536, 1536)
    _, trajectory, low_res = prepare(small, image, 60, resolution=128)
    gc.collect()
    before = reset_peak()
    segmentation = segment_pictures(small, image, trajectory, low_res, "fast")
    without_masks = peak() - before
    masks = empty_masks(segmentation.count, 1536, 1536)
    fill_masks(segmentation.labels[0], masks)
    print(f"peak: {without_masks / 1e9:.2f} GB, with the masks {(peak() - before) / 1e9:.2f} GB")
    assert without_masks < masks.nbytes and peak() - before < 2.5 * masks.nbytes


@pytest.mark.once
@READS_PEAK
def test_a_video_costs_little_beside_what_comes_out(small):
    """24 frames of 512 pixels as a video's workflow takes them: less than the pictures once more."""
    image = smooth_picture(512, 512, count=24).contiguous()
    drafted_and_picked(small, image[:1])
    gc.collect()
    before = reset_peak()
    results = drafted_and_picked(small, image)
    above, held = peak() - before, sum(each.nbytes for each in results)
    print(f"{above / 1e6:.0f} MB above the start, {held / 1e6:.0f} of them what comes out")
    assert above < held + image.nbytes


def drafted_and_picked(small, image):
    """Label image, mask and overlay."""
    features, trajectory = EmerDiffExtractFeatures.execute(*small, image, 0, 128, mirrored=False).result
    low_res = EmerDiffClusterFeatures.execute(features, 3, 0, shared_clusters=True, restarts=1).result[0]
    given = trajectory, low_res, "draft"
    masks, segmentation, label_image = EmerDiffModulateAndAssemble.execute(
        *small, image, *given, make_masks=False
    ).result
    assert masks.shape == (1, 512, 512) and not masks.any() and len(segmentation.labels) == len(image)
    selected = EmerDiffSelectSegments.execute([segmentation], ["0"], image=[image], every_picture=[True])
    return label_image, selected.result[0][0], selected.result[1][0]
