"""Attention as ComfyUI does it after 0.30: overrides that take containers, and backends of eight bits."""

import comfy.ldm.modules.attention as host
import newer_attention
import pytest
import torch
from comparing import error, plain, prepare
from emerdiff.nodes.steps.extract import extract_features
from emerdiff.nodes.steps.modulate import Push, modulate_attention
from newer_attention import Backend, int8

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def prepared(sd1, photo):
    with torch.inference_mode():
        return prepare(sd1, photo[:, :96, :64], 3, seed=7)


@pytest.fixture(scope="module")
def before(sd1, prepared):
    """The difference maps with the attention of this host."""
    with torch.inference_mode():
        return modulate(sd1, prepared)


@pytest.fixture(scope="module")
def exact(sd1, prepared):
    """The same by the plain procedure."""
    with torch.inference_mode():
        return plain(sd1, prepared.trajectory, prepared.low_res.masks[0])


def with_override(source, override):
    model = source.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    return source._replace(model=model)


def modulate(source, prepared, rows=None):
    maps = modulate_attention(source, prepared.trajectory, prepared.low_res, Push(timestep=21), rows)
    return maps.difference


def test_without_an_override_of_others_nothing_changes(sd1, prepared, before, monkeypatch):
    newer_attention.install(monkeypatch)
    assert torch.equal(modulate(sd1, prepared), before)


def test_an_override_that_takes_containers_is_used_as_such(sd1, prepared, before, monkeypatch):
    """By its container_function wherever no map is shared, as it would be without ours; never called itself."""
    newer_attention.install(monkeypatch)
    override = Backend(newer_attention.plain)
    model = with_override(sd1, override)
    assert torch.equal(modulate(model, prepared), before)
    assert override.containers > 0 and override.tensors == 0
    assert model.model.model_options["transformer_options"]["optimized_attention_override"] is override


def test_an_override_that_takes_tensors_gets_tensors(sd1, prepared, before, monkeypatch):
    newer_attention.install(monkeypatch)
    seen = []

    def override(function, query, key, value, heads, *args, **kwargs):
        seen.append(isinstance(query, torch.Tensor))
        return function(query, key, value, heads, *args, **kwargs)

    assert torch.equal(modulate(with_override(sd1, override), prepared), before)
    assert seen and all(seen)


@pytest.mark.parametrize("how", ["default", "override"])
def test_with_eight_bits_maps_are_no_worse_than_the_plain_procedure_s(sd1, prepared, exact, monkeypatch, how):
    """Shared maps are computed in the model's own precision, whatever the backend; the rest is the backend's."""
    newer_attention.install(monkeypatch, backend=int8)
    theirs = error(plain(sd1, prepared.trajectory, prepared.low_res.masks[0]), exact)
    source = with_override(sd1, Backend(int8)) if how == "override" else sd1
    ours = error(modulate(source, prepared)[0], exact)
    assert 1e-4 < ours <= theirs  # the backend does take part


def test_with_eight_bits_a_map_is_the_same_in_whatever_company_it_is_computed(sd1, prepared, monkeypatch):
    newer_attention.install(monkeypatch)
    source = with_override(sd1, Backend(int8))
    assert error(modulate(source, prepared, 2), modulate(source, prepared)) < 1e-3  # a rounding apart, a level apart


def test_features_are_read_by_the_backend_that_the_checkpoint_prefers(sd1, photo, monkeypatch):
    used = []

    def preferred(*args, **kwargs):
        used.append(args)
        return int8(*args, **kwargs)

    newer_attention.install(monkeypatch, preferred=preferred)
    extract_features(sd1, photo)
    assert used


def test_this_host_has_no_such_attention_of_its_own():
    """Where this fails the stand-in has had its time: run these tests on the host itself."""
    assert not hasattr(host, "AttentionTensorContainer")
