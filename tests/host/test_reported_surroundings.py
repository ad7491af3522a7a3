"""Kinds of faults that users' reports led to: file systems, names from elsewhere, other packs' wrappers, memory."""

import os
import shutil

import pytest
import torch
from comparing import prepare
from emerdiff.nodes.load import EmerDiffLoad
from emerdiff.nodes.save import EmerDiffSave
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from emerdiff.nodes.steps.values import Features

VALUE = Features(torch.ones(1, 2, 2, 3), (4, 4))


# --- files ---


@pytest.mark.parametrize("call", ["chmod", "fsync"])
@pytest.mark.parametrize("error", [PermissionError(1, "EPERM"), OSError(22, "EINVAL"), OSError(95, "EOPNOTSUPP")])
def test_a_file_system_that_refuses_rights_or_flushing_takes_the_file(folders, monkeypatch, call, error):
    """CIFS and mounts of Docker."""

    def refuse(*_, **__):
        raise error

    for module, name in {"chmod": [(os, "chmod"), (shutil, "copymode")], "fsync": [(os, "fsync")]}[call]:
        monkeypatch.setattr(module, name, refuse)
    EmerDiffSave.execute(VALUE, "kept")
    assert torch.equal(EmerDiffLoad.execute("kept_00001_.safetensors").result[0].features, VALUE.features)


def test_a_backslash_is_a_slash_on_every_system(folders):
    EmerDiffSave.execute(VALUE, "a\\b")
    assert (folders / "output" / "a" / "b_00001_.safetensors").exists()
    for name in ("a\\b_00001_.safetensors", "a/b_00001_.safetensors", ".\\a\\b_00001_.safetensors"):
        assert torch.equal(EmerDiffLoad.execute(name).result[0].features, VALUE.features)
        assert EmerDiffLoad.fingerprint_inputs(name) == EmerDiffLoad.fingerprint_inputs("a/b_00001_.safetensors")
    for name in ("..\\outside\\x.safetensors", "a\\..\\..\\outside.safetensors"):
        with pytest.raises(ValueError):
            EmerDiffLoad.execute(name)
        with pytest.raises(ValueError):
            EmerDiffSave.execute(VALUE, name)


def test_a_name_that_comes_by_a_link_has_a_fingerprint_that_stays():
    assert EmerDiffLoad.fingerprint_inputs(None) == EmerDiffLoad.fingerprint_inputs(None)


# --- other packs' wrappers ---


class DeepCache:
    """Runs the network by itself, past the host's function."""

    def __init__(self, network):
        self.network = network

    def __call__(self, apply, given):
        x, context = given["input"], given["c"]["c_crossattn"]
        return self.network(x, torch.full((len(x),), 200.0), context)


class FirstBlockCache:
    """Lets the network run once, and from then on hands out what its later blocks gave, after its first ones ran."""

    def __init__(self):
        self.kept = None

    def __call__(self, apply, given):
        if self.kept is not None and self.kept.shape == given["input"].shape:
            options = given["c"]["transformer_options"]
            options = {**options, "patches": {}, "wrappers": options["wrappers"]}
            apply(given["input"], given["timestep"], **{**given["c"], "transformer_options": options})
            return self.kept
        self.kept = apply(given["input"], given["timestep"], **given["c"])
        return self.kept


def with_wrapper(source, wrapper):
    model = source.model.clone()
    model.set_model_unet_function_wrapper(wrapper)
    return source._replace(model=model)


def test_a_wrapper_that_runs_the_network_itself_is_named(sd1, photo):
    source = with_wrapper(sd1, DeepCache(sd1.model.model.diffusion_model))
    _, trajectory, masks = prepare(sd1, photo, 2)
    for run in (lambda: extract_features(source, photo), lambda: modulate_attention(source, trajectory, masks)):
        with pytest.raises(ValueError, match="runs the UNet by itself .*DeepCache.* connect the model from before it"):
            run()


def test_a_wrapper_that_skips_blocks_is_named(sd1, photo):
    _, trajectory, masks = prepare(sd1, photo, 2)
    with pytest.raises(ValueError, match="skips parts of the UNet.*FirstBlockCache.* connect the model from before it"):
        modulate_attention(with_wrapper(sd1, FirstBlockCache()), trajectory, masks, Push(timestep=41))


def test_a_wrapper_in_the_hosts_lists_that_skips_the_network_is_named(sd1, photo):
    """As step caches put themselves around the diffusion model."""
    _, trajectory, masks = prepare(sd1, photo, 2)
    model = sd1.model.clone()

    def step_cache(executor, x, *args, **kwargs):
        return torch.zeros_like(x)

    model.add_wrapper_with_key("diffusion_model", "another pack", step_cache)
    with pytest.raises(ValueError, match="by itself .*step_cache"):
        modulate_attention(sd1._replace(model=model), trajectory, masks, Push(timestep=41))
