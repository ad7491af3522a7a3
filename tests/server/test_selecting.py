"""Select Segments over HTTP: what it sends to the browser, and what runs after it."""

import pytest
from PIL import Image
from server_client import PIXELS

from comfyui.workflow import STEPS, add, find, find_after


def test_nothing_selected_shows_the_picture_and_runs_nothing_behind_it(client, segmented):
    prompt, texts = {}, []
    load = client.add(prompt, "EmerDiffLoad", file_name=segmented[2])
    select = client.add(prompt, "EmerDiffSelectSegments", segmentation=[load, 0])
    shown = add(prompt, "PreviewImage", images=[add(prompt, "MaskToImage", mask=[select, 0]), 0])
    outputs = client.run(prompt, on_text=lambda node, text: texts.append((node, text)))
    sent = outputs[select]
    assert shown not in outputs
    assert sent["images"] and len(sent["emerdiff_segments"]) == 1
    assert "click segments" in sent["text"][0] and sent["text"] == [text for node, text in texts if node == select]


@pytest.fixture(scope="module")
def select_in_a_list(client):
    """Outputs of Select, and of a PreviewImage behind it, for a list of two batches: of two pictures, and of one."""

    def run(selection):
        prompt = client.workflow(STEPS, client.put_image("listed.png", Image.fromarray(PIXELS).resize((64, 64))))
        cluster, load = find(prompt, "EmerDiffClusterFeatures"), find(prompt, "LoadImage")
        prompt[cluster]["inputs"]["shared_clusters"] = False
        prompt[find(prompt, "EmerDiffModulateAttention")]["inputs"]["preset"] = "fast"
        three = add(prompt, "RepeatImageBatch", image=[load, 0], amount=3)
        listed = add(prompt, "RebatchImages", images=[three, 0], batch_size=2)
        for key, node in prompt.items():
            if key != three and node["inputs"].get("image") == [load, 0]:
                node["inputs"]["image"] = [listed, 0]
        assembled = find_after(prompt, "EmerDiffAssembleMasks", find(prompt, "EmerDiffModulateAttention"))
        wires = {"segmentation": [assembled, 1], "image": [listed, 0]}
        select = client.add(prompt, "EmerDiffSelectSegments", **wires, selection=selection)
        shown = add(prompt, "PreviewImage", images=[add(prompt, "MaskToImage", mask=[select, 0]), 0])
        outputs = client.run(prompt)
        return outputs[select], outputs.get(shown)

    return run


def test_a_list_of_batches_takes_one_text_for_all_its_pictures(client, select_in_a_list):
    sent, shown = select_in_a_list("2; ; 1")
    labels = [client.labels(entry) for entry in sent["emerdiff_segments"]]
    masks = client.pixels(shown)[..., 0] > 0
    assert len(labels) == len(masks) == len(sent["images"]) == 3
    assert (masks[0] == (labels[0] == 2)).all() and not masks[1].any() and (masks[2] == (labels[2] == 1)).all()
    sent, shown = select_in_a_list("; ; 1")
    assert (client.pixels(shown)[..., 0] > 0).shape[0] == 1  # of the first element nothing was selected
    assert "number 1 of the list" in sent["text"][0]
