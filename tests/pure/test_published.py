"""What the front end, the registry and the repository's host read in our files: ids, models, pictures, actions."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob("workflows/*.json"), *ROOT.glob("subgraphs/*.json")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOTES = ("Note", "MarkdownNote")
LOADERS = {
    "CheckpointLoaderSimple": "checkpoints",
    "UNETLoader": "diffusion_models",
    "CLIPLoader": "text_encoders",
    "VAELoader": "vae",
}
APPS = ("EmerDiff click and inpaint", "EmerDiff point at a thing", "EmerDiff replace by word")


def graphs(workflow: dict) -> list[dict]:
    return [workflow, *workflow.get("definitions", {}).get("subgraphs", [])]


def nodes_of(path: Path) -> list[dict]:
    graph = json.loads(path.read_text())
    kinds = {subgraph["id"] for subgraph in graphs(graph)[1:]}
    return [
        node
        for each in graphs(graph)
        for node in each["nodes"]
        if node["type"] not in NOTES and node["type"] not in kinds
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_node_names_its_pack_and_version(path):
    for node in nodes_of(path):
        ours = node["type"].startswith("EmerDiff")
        assert node["properties"]["Node name for S&R"] == node["type"]
        assert node["properties"]["cnr_id"] == (PROJECT["project"]["name"] if ours else "comfy-core")
        assert not ours or node["properties"]["ver"] == PROJECT["project"]["version"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", node["properties"]["ver"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", json.loads(path.read_text())["extra"]["frontendVersion"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_loader_says_where_its_file_is_to_be_had(path):
    for node in [each for each in nodes_of(path) if each["type"] in LOADERS]:
        (model,) = node["properties"]["models"]
        assert model["name"] == node["widgets_values"][0] and model["directory"] == LOADERS[node["type"]]
        assert re.fullmatch(rf"https://huggingface\.co/\S+/{re.escape(model['name'])}(\?download=true)?", model["url"])
        assert model["name"].endswith(".safetensors")


CLICKED_IN = ("EmerDiffSelectSegments", "EmerDiffPickByPoints")


@pytest.mark.parametrize("name", APPS)
def test_an_app_s_inputs_and_outputs_are_nodes_of_its_graph(name):
    workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text())
    nodes = {str(node["id"]): node for node in workflow["nodes"]}
    data = workflow["extra"]["linearData"]
    for number, widget in data["inputs"]:
        slots = [slot["name"] for slot in nodes[number]["inputs"]]
        assert widget in slots or (nodes[number]["type"] in CLICKED_IN and widget == "segments")
    assert [nodes[number]["type"] for number in data["outputs"]] == ["SaveImage"]
    assert workflow["extra"]["linearMode"] is False  # the graph comes first


def test_icon_and_banner_have_the_registry_s_shapes():
    icon, banner = (Image.open(ROOT / "docs" / "images" / f"{name}.png") for name in ("icon", "banner"))
    assert icon.width == icon.height <= 400 and banner.width * 9 == banner.height * 21
    for name, key in (("icon", "Icon"), ("banner", "Banner")):
        assert PROJECT["tool"]["comfy"][key].endswith(f"/docs/images/{name}.png")
