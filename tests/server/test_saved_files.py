"""What EmerDiffSave writes, EmerDiffLoad gives back, and every later node takes it for the value itself."""

import pytest
import torch
from safetensors import safe_open

from comfyui.workflow import STEPS, add, find

FOLDER = "kept"


@pytest.fixture(scope="module")
def kept(client, picture):
    """(prompt, outputs, file name by kind) of a step-by-step run that saves every value."""
    prompt = client.workflow(STEPS, picture)
    extract, cluster, modulate, assemble = (
        find(prompt, f"EmerDiff{name}")
        for name in ("ExtractFeatures", "ClusterFeatures", "ModulateAttention", "AssembleMasks")
    )
    values = {
        "features": [extract, 0],
        "trajectory": [extract, 1],
        "low_res_masks": [cluster, 0],
        "difference_maps": [modulate, 0],
        "segmentation": [assemble, 1],
    }
    saves = {
        kind: add(prompt, "EmerDiffSave", value=value, filename_prefix=f"{FOLDER}/{kind}")
        for kind, value in values.items()
    }
    outputs = client.run(prompt)
    return prompt, outputs, {kind: client.saved(FOLDER, outputs[save]) for kind, save in saves.items()}


def contents(path) -> tuple[dict, dict]:
    with safe_open(path, framework="pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}


@pytest.mark.parametrize(
    ("kind", "tensors"),
    [
        ("features", {"features"}),
        ("trajectory", {"latent", "seed", "timesteps"}),
        ("low_res_masks", {"masks", "gram"}),
        ("difference_maps", {"difference", "image_size", "gram"}),
        ("segmentation", {"labels"}),
    ],
)
def test_file_is_documented_and_survives_a_round_trip(client, kept, kind, tensors):
    metadata, saved = contents(client.path(kept[2][kind]))
    assert (metadata["emerdiff"], metadata["version"]) == (kind, "1")
    assert set(saved) == tensors
    prompt = {}
    load = add(prompt, "EmerDiffLoad", file_name=kept[2][kind])
    save = add(prompt, "EmerDiffSave", value=[load, 0], filename_prefix=f"{FOLDER}/again")
    metadata_again, saved_again = contents(client.path(client.saved(FOLDER, client.run(prompt)[save])))
    assert metadata_again == metadata
    assert all(torch.equal(saved_again[name], saved[name]) for name in tensors)


def test_the_rest_of_the_graph_runs_from_files(client, kept):
    """Clustering from loaded features, modulation along a loaded trajectory: the masks of the first run."""
    first, outputs, files = kept
    prompt = {key: dict(node, inputs=dict(node["inputs"])) for key, node in first.items()}
    for key in [key for key, node in prompt.items() if node["class_type"] == "EmerDiffSave"]:
        del prompt[key]
    extract = find(prompt, "EmerDiffExtractFeatures")
    del prompt[extract]
    prompt[find(prompt, "EmerDiffClusterFeatures")]["inputs"]["features"] = [
        add(prompt, "EmerDiffLoad", file_name=files["features"]), 0
    ]  # fmt: skip
    prompt[find(prompt, "EmerDiffModulateAttention")]["inputs"]["trajectory"] = [
        add(prompt, "EmerDiffLoad", file_name=files["trajectory"]), 0
    ]  # fmt: skip
    assert (client.masks(prompt, client.run(prompt)) == client.masks(first, outputs)).all()
