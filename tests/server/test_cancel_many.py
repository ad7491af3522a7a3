"""Cancel at many random moments over all the nodes: masks and the MODEL's own pictures stay what they were."""

import collections
import random

import numpy as np
import pytest
import torch
from emerdiff.emerdiff_ops.files import safetensors_file
from PIL import Image
from server_client import PIXELS, paint

from comfyui.server import Interrupted
from comfyui.workflow import add

CANCELS = 15  # three in each node
SIDE = 64  # pixels
NODES = {
    "extract": "EmerDiffExtractFeatures",
    "modulate": "EmerDiffModulateAttention",
    "lift": "EmerDiffLiftMask",
    "text": "EmerDiffSelectByText",
    "assemble": "EmerDiffAssembleMasks",
}


@pytest.fixture(scope="module")
def segmentation(client):
    """A segmentation and large difference maps as files, for the nodes that go on from there."""
    folder = client.server.base / "input"
    labels = torch.zeros(1, SIDE, SIDE, dtype=torch.int16)
    labels[:, :, SIDE // 2 :] = 1
    safetensors_file.save(folder / "halves.safetensors", "segmentation", {"labels": labels}, {"count": "2"})
    maps = torch.rand(12, 8, 64, 64, generator=torch.Generator().manual_seed(0))
    tensors = {"difference": maps, "image_size": torch.tensor([512, 512])}
    safetensors_file.save(folder / "maps.safetensors", "difference_maps", tensors, {})
    return "halves.safetensors"


class Prompts:
    """Prompts on one picture; `seed` makes each new to the server's cache."""

    def __init__(self, client, name):
        self.add = client.add
        self.picture = client.put_image(name, Image.fromarray(PIXELS).resize((SIDE, SIDE)))

    def start(self):
        prompt = {}
        model, image = self.add(prompt, "EmerDiffLabSmallModel"), self.add(prompt, "LoadImage", image=self.picture)
        self.shared = {"model": [model, 0], "vae": [model, 2]}
        return prompt, model, [image, 0]

    def extract(self, seed):
        prompt, model, image = self.start()
        batch = self.add(prompt, "RepeatImageBatch", image=image, amount=24)
        features = self.add(
            prompt, "EmerDiffExtractFeatures", **self.shared, conditioning=[model, 1], image=[batch, 0], seed=seed,
            enlarge=False,
        )  # fmt: skip
        self.add(prompt, "EmerDiffSave", value=[features, 0], filename_prefix="cancelled/features")
        return prompt

    def modulate(self, seed):
        prompt, model, image = self.start()
        shared = self.shared | {"conditioning": [model, 1]}
        extract = self.add(prompt, "EmerDiffExtractFeatures", **shared, image=image, seed=seed, enlarge=False)
        cluster = self.add(prompt, "EmerDiffClusterFeatures", features=[extract, 0], segments=4, seed=seed)
        modulate = self.add(
            prompt, "EmerDiffModulateAttention", **shared, trajectory=[extract, 1], low_res_masks=[cluster, 0],
            preset="paper",
        )  # fmt: skip
        assemble = self.add(prompt, "EmerDiffAssembleMasks", difference_maps=[modulate, 0])
        return shown(prompt, [assemble, 0])

    def lift(self, seed):
        prompt, model, image = self.start()
        mask = self.add(prompt, "ImageToMask", image=image, channel="red")
        lifted = self.add(
            prompt, "EmerDiffLiftMask", **self.shared, conditioning=[model, 1], image=image, mask=[mask, 0],
            preset="paper", seed=seed, resolution=SIDE,
        )  # fmt: skip
        return shown(prompt, [lifted, 1])

    def text(self, seed):
        prompt, model, image = self.start()
        segmentation = self.add(prompt, "EmerDiffLoad", file_name="halves.safetensors")
        selected = self.add(
            prompt, "EmerDiffSelectByText", **self.shared, segmentation=[segmentation, 0], clip=[model, 3], image=image,
            text="star", seed=seed,
        )  # fmt: skip
        return shown(prompt, [selected, 0])

    def assemble(self, seed):
        prompt = {}
        maps = self.add(prompt, "EmerDiffLoad", file_name="maps.safetensors")
        masks = self.add(prompt, "EmerDiffAssembleMasks", difference_maps=[maps, 0], smoothing=4 + seed / 1000)
        return shown(prompt, [masks, 0])

    def sample(self):
        """A picture that the same MODEL paints over this one, with the host's sampler."""
        prompt, model, image = self.start()
        paint(prompt, model, image[0])
        return prompt


def shown(prompt, masks):
    images = add(prompt, "MaskToImage", mask=masks)
    add(prompt, "PreviewImage", images=[images, 0])
    return prompt


def results(client, name):
    """The pixels of what every node makes of the picture, and of what the sampler does."""
    prompts = Prompts(client, name)
    wanted = [prompts.modulate(0), prompts.lift(0), prompts.text(0), prompts.sample()]
    outputs = [client.run(prompt)[list(prompt)[-1]] for prompt in wanted]
    return [client.pixels(each) for each in outputs]


def run_and_cancel(client, prompt, node, moment):
    """Where Cancel struck, as (node, share of its progress), or None where the prompt was done before."""
    shares = [0.0]

    def cancel(running, value, maximum):
        if running == node:
            if shares[-1] < moment <= value / maximum:
                client.server.interrupt()
            shares.append(value / maximum)

    try:
        client.run(prompt, cancel)
    except Interrupted as error:
        return str(error).removeprefix("cancelled in "), shares[-1]
    return None


def test_cancelled_runs_leave_nothing_behind(client, segmentation):
    before = results(client, "before-many.png")
    chance, prompts, struck = random.Random(5), Prompts(client, "many.png"), collections.defaultdict(list)
    for number in range(CANCELS):
        way, node = list(NODES.items())[number % len(NODES)]
        moment = chance.uniform(0.01, 0.9)
        prompt = getattr(prompts, way)(1 + number)
        where = run_and_cancel(client, prompt, node, moment)
        struck[where[0] if where else f"not, {node} was done"].append(f"{where[1]:.2f}" if where else f"{moment:.2f}")
    print(*(f"{node}: {', '.join(shares)}" for node, shares in struck.items()), sep="\n")
    assert set(NODES.values()) <= set(struck)
    assert sum(len(shares) for node, shares in struck.items() if not node.startswith("not")) >= CANCELS * 3 // 4
    for old, new in zip(before, results(client, "after-many.png"), strict=True):
        assert np.array_equal(old, new)
