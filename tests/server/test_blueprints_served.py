"""The subgraph blueprints as the server hands them out: whole, of nodes that it knows, their wires of one type."""

import json

import pytest

from comfyui.in_process import REPOSITORY

BLUEPRINTS = sorted((REPOSITORY / "subgraphs").glob("*.json"))
PACK = "custom_nodes.ComfyUI-EmerDiff"
INPUT, OUTPUT = -10, -20  # the ids of a subgraph's own ends


@pytest.fixture(scope="module")
def served(client):
    listed = json.loads(client.get("/global_subgraphs"))
    ours = [key for key, entry in listed.items() if entry["info"]["node_pack"] == PACK]
    entries = [json.loads(client.get(f"/global_subgraphs/{key}")) for key in ours]
    return {entry["name"]: json.loads(entry["data"]) for entry in entries}


def test_every_blueprint_is_served(served):
    assert len(BLUEPRINTS) == 3
    assert served == {path.stem: json.loads(path.read_text()) for path in BLUEPRINTS}


@pytest.mark.parametrize("name", [path.stem for path in BLUEPRINTS])
def test_a_blueprint_is_one_node_that_says_what_it_does(served, name):
    (host,) = served[name]["nodes"]
    (subgraph,) = served[name]["definitions"]["subgraphs"]
    assert host["type"] == subgraph["id"] and host["title"] == subgraph["name"] == name
    assert subgraph["category"] and subgraph["description"] == served[name]["extra"]["BlueprintDescription"]
    for own, inner in (("inputs", subgraph["inputs"]), ("outputs", subgraph["outputs"])):
        assert [(slot["name"], slot["type"]) for slot in host[own]] == [(slot["name"], slot["type"]) for slot in inner]
    promoted = [slot for slot in host["inputs"] if "widget" in slot]
    assert len(promoted) == len(host["widgets_values"])


@pytest.mark.parametrize("name", [path.stem for path in BLUEPRINTS])
def test_its_nodes_exist_and_its_links_join_what_they_say(served, name, client):
    known = client.info
    (subgraph,) = served[name]["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in subgraph["nodes"]}
    assert not {node["type"] for node in nodes.values()} - set(known)
    for link in subgraph["links"]:
        outputs = subgraph["inputs"] if link["origin_id"] == INPUT else nodes[link["origin_id"]]["outputs"]
        inputs = subgraph["outputs"] if link["target_id"] == OUTPUT else nodes[link["target_id"]]["inputs"]
        source, target = outputs[link["origin_slot"]], inputs[link["target_slot"]]
        assert source["type"] == link["type"] and link["type"] in target["type"].split(",")
        assert link["id"] in (source.get("links") or source.get("linkIds"))
        assert link["id"] in (target.get("linkIds") or [target.get("link")])
    required = [(node, slot) for node in nodes.values() for slot in known[node["type"]]["input"].get("required", {})]
    for node, slot in required:
        assert slot in [each["name"] for each in node["inputs"]], (node["type"], slot)
