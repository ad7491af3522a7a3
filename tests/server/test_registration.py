"""What ComfyUI says of the pack: nodes with their texts, help pages, workflow templates."""

import json

import pytest

from comfyui.workflow import (
    ANY_MODEL,
    CLICK,
    COMPARE,
    INPAINT,
    KLEIN,
    POINT,
    QWEN_EDIT,
    REFINE,
    SEGMENT,
    STEPS,
    VIDEO,
    WORD,
    WORD_WITH_FLUX,
    WORKFLOWS,
    Z_IMAGE,
)

PACK = "ComfyUI-EmerDiff"
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")
NODES = {  # saved workflows rely on these ids and orders
    "EmerDiffSegmentImage": (
        ["model", "vae", "conditioning", "image", "segments", "preset", "seed", "make_masks", "granularity",
         "shared_clusters", "reference", "specks"],
        ["MASK", "EMERDIFF_SEGMENTATION", "IMAGE", "EMERDIFF_FEATURES", "EMERDIFF_TRAJECTORY"],
    ),
    "EmerDiffExtractFeatures": (
        ["model", "vae", "conditioning", "image", "seed", "resolution", "steps", "feature_timestep", "feature_layer",
         "surroundings", "mirrored", "dense", "enlarge", "attention"],
        ["EMERDIFF_FEATURES", "EMERDIFF_TRAJECTORY"],
    ),
    "EmerDiffClusterFeatures": (
        ["features", "segments", "seed", "shared_clusters", "restarts", "granularity", "reference"],
        ["EMERDIFF_LOW_RES_MASKS"],
    ),
    "EmerDiffModulateAttention": (
        ["model", "vae", "conditioning", "trajectory", "low_res_masks", "preset", "strength", "modulation_timestep",
         "modulation_layer", "inject_attention", "relative_strength", "image"],
        ["EMERDIFF_DIFFERENCE_MAPS"],
    ),
    "EmerDiffModulateAndAssemble": (
        ["model", "vae", "conditioning", "image", "trajectory", "low_res_masks", "preset", "make_masks",
         "specks"],
        ["MASK", "EMERDIFF_SEGMENTATION", "IMAGE"],
    ),
    "EmerDiffCheck": (["model", "presets"], []),
    "EmerDiffEach": (["values"], ["*"]),
    "EmerDiffGather": (["masks", "segmentation", "label_image", "features", "trajectory"], ["*"] * 5),
    "EmerDiffAssembleMasks": (
        ["difference_maps", "smoothing", "min_area", "normalize", "fill_holes", "split_parts", "image", "refine",
         "make_masks"],
        ["MASK", "EMERDIFF_SEGMENTATION", "IMAGE"],
    ),
    "EmerDiffPickByPoints": (
        ["features", "trajectory", "image", "positive_points", "negative_points", "boxes", "level"],
        ["MASK", "MASK", "MASK"],
    ),
    "EmerDiffLiftMask": (
        ["model", "vae", "conditioning", "image", "mask", "preset", "seed", "smoothing", "strength", "resolution",
         "relative_strength", "features", "trajectory"],
        ["MASK", "MASK"],
    ),
    "EmerDiffCutOut": (["image", "mask", "grow", "feather"], ["IMAGE", "MASK"]),
    "EmerDiffMergeSegments": (
        ["segmentation", "features", "target", "similarity", "make_masks"],
        ["EMERDIFF_SEGMENTATION", "MASK", "IMAGE"],
    ),
    "EmerDiffSelectByText": (
        ["segmentation", "model", "clip", "image", "vae", "text", "count", "threshold", "seed", "by",
         "counter_words"],
        ["MASK", "IMAGE", "MASK", "MASK"],
    ),
    "EmerDiffBoundingBoxes": (["masks", "padding", "image"], ["BOUNDING_BOX", "BOUNDING_BOX"]),
    "EmerDiffToSEGS": (["segmentation", "selection", "crop_factor", "min_area", "image"], ["SEGS"]),
    "EmerDiffSelectSegments": (
        ["segmentation", "selection", "positive_points", "negative_points", "invert", "image", "boxes",
         "every_picture", "grow", "feather", "fill_holes", "correction"],
        ["MASK", "IMAGE"],
    ),
    "EmerDiffSave": (["value", "filename_prefix"], ["COMFY_MATCHTYPE_V3"]),
    "EmerDiffLoad": (["file_name"], ["*"]),
}  # fmt: skip
HIDDEN = {"EmerDiffCheck", "EmerDiffModulateAndAssemble", "EmerDiffEach", "EmerDiffGather"}  # others expand into them
TEMPLATES = (SEGMENT, STEPS, INPAINT, CLICK, REFINE, POINT, WORD, ANY_MODEL, VIDEO, COMPARE, Z_IMAGE, QWEN_EDIT,
             KLEIN, WORD_WITH_FLUX)  # fmt: skip


def inputs(node: dict) -> dict:
    return node["input"].get("required", {}) | node["input"].get("optional", {})


@pytest.mark.parametrize("name", NODES)
def test_node_is_registered_as_the_contract_says(client, name):
    node = client.info[name]
    assert (list(inputs(node)), node["output"]) == NODES[name]
    assert node["python_module"] == f"custom_nodes.{PACK}"
    assert node["category"] == "EmerDiff"


@pytest.mark.parametrize("name", NODES)
def test_node_explains_itself(client, name):
    node = client.info[name]
    assert len(node["description"]) > 20
    for label, (_, options) in inputs(node).items():
        assert len(options.get("tooltip", "")) > 10, label
    assert all(node["output_tooltips"])
    assert node["search_aliases"]


def test_nodes_that_others_expand_into_are_hidden(client):
    assert {name for name in NODES if client.info[name].get("dev_only")} == HIDDEN


@pytest.mark.parametrize("name", sorted(NODES.keys() - HIDDEN))
def test_help_page_is_served_and_names_every_input(client, name):
    page = client.get(f"/extensions/{PACK}/docs/{name}.md").decode()
    assert page.startswith("# ")
    for label in inputs(client.info[name]):
        assert label in page


def test_workflows_are_offered_as_templates(client):
    assert set(json.loads(client.get("/api/workflow_templates"))[PACK]) == set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_and_its_thumbnail_are_served(client, name):
    address = f"/api/workflow_templates/{PACK}/{name}".replace(" ", "%20")
    assert client.get(f"{address}.json") == (WORKFLOWS / f"{name}.json").read_bytes()
    thumbnail = client.get(f"{address}.jpg")
    assert thumbnail.startswith(b"\xff\xd8\xff")
    assert len(thumbnail) <= 100_000


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_has_no_unknown_node_and_no_open_input(client, name):
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text())
    for node in workflow["nodes"]:
        if node["type"] == "MarkdownNote":
            continue
        linked = {slot["name"] for slot in node["inputs"] if slot["link"] is not None}
        needed = client.info[node["type"]]["input"].get("required", {})
        sockets = {key for key, (kind, *_) in needed.items() if isinstance(kind, str) and kind not in WIDGET_TYPES}
        assert sockets <= linked, node["type"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_links_agree_at_both_ends(name):
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text())
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for link, origin, output, target, slot, kind in workflow["links"]:
        assert link in nodes[origin]["outputs"][output]["links"]
        assert nodes[target]["inputs"][slot]["link"] == link
        assert nodes[origin]["outputs"][output]["type"] == kind
