"""What runs out, what is held, and what is left behind."""

import gc
import weakref
from pathlib import Path

import comfy.model_management
import comfy.utils
import pytest
import torch
from comparing import prepare
from emerdiff.emerdiff_ops.segments.labels import empty_masks, fill_masks
from emerdiff.nodes.host import unet
from emerdiff.nodes.host.hooks import Modulation, QueryCapture
from emerdiff.nodes.host.memory import rows_that_fit
from emerdiff.nodes.steps import read_out, segment
from emerdiff.nodes.steps.assemble import assemble_masks
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.score_text import Respondent
from emerdiff.nodes.steps.segment import segment_pictures

PEAK = Path("/proc/self/clear_refs")


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
@pytest.mark.skipif(not PEAK.exists(), reason="needs Linux to read the peak of memory")
def test_a_large_picture_with_sixty_segments_stays_within_its_bound(small):
    """2048 x 2048, K = 60: the masks themselves are 1.0 GB; everything else together stays below that."""
    noise = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    image = torch.nn.functional.interpolate(noise, (2048, 2048), mode="bicubic").clamp(0, 1).movedim(1, -1)
    _, trajectory, low_res = prepare(small, image, 60, resolution=128)
    gc.collect()
    PEAK.write_text("5")  # the peak so far is forgotten
    before = memory("VmRSS")
    segmentation = segment_pictures(small, image, trajectory, low_res, "fast")
    without_masks = memory("VmHWM") - before
    masks = empty_masks(segmentation.count, 2048, 2048)
    fill_masks(segmentation.labels[0], masks)
    print(f"peak: {without_masks:.2f} GB, with the masks {memory('VmHWM') - before:.2f} GB")
    assert masks.shape == (60, 2048, 2048)
    assert without_masks < 1.0 and memory("VmHWM") - before < 2.5


def memory(which: str) -> float:
    """GB, from the kernel."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(which))
    return int(line.split()[1]) * 1024 / 1e9
