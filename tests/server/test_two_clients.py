"""Several clients queue at once, and one cancels: everybody else's masks are those of a server of their own."""

import json
import time

import numpy as np
from PIL import Image
from server_client import SEGMENTS

from comfyui.workflow import SEGMENT
from small_model.scenes import HELD_OUT, scene

CLIENTS = ("one", "two")


def picture(client, number, times):
    """A scene of its own for every number, at half its size, under a name of which nothing is cached."""
    pixels = (scene(HELD_OUT + number).image * 255).round().astype(np.uint8)
    return client.put_image(f"queued-{number}-{times}.png", Image.fromarray(pixels).resize((64, 64)))


def prompts(client, seed, times=0, preset="fast"):
    """A prompt for each client."""
    pictures = [picture(client, number, times) for number in (1, 2)]
    return [client.workflow(SEGMENT, each, seed=seed, preset=preset) for each in pictures]


def finished(client, prompt_id, deadline=120):
    """What the server remembers of a prompt, once it has ended."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if prompt_id in json.loads(client.get(f"/history/{prompt_id}")):
            return client.server.history(prompt_id)
        time.sleep(0.1)
    raise TimeoutError(f"{prompt_id} has not ended in {deadline} s")


def running(client):
    return [entry[1] for entry in json.loads(client.get("/queue"))["queue_running"]]


def test_a_cancelled_prompt_of_one_client_does_not_touch_the_others(client):
    alone = [client.masks(prompt, client.run(prompt)) for prompt in prompts(client, 0)]
    long = prompts(client, 1, times=1, preset="paper")
    queued = [*long, *(prompt for seed in (0, 2) for prompt in prompts(client, seed, times=1))]
    ids = [client.server.queue(prompt, CLIENTS[number % 2]) for number, prompt in enumerate(queued)]
    while running(client) != [ids[1]]:  # the second client's first
        assert ids[1] not in json.loads(client.get(f"/history/{ids[1]}")), "it was done before it could be cancelled"
        time.sleep(0.02)
    time.sleep(0.3)
    client.server.interrupt()
    entries = [finished(client, prompt_id) for prompt_id in ids]
    assert [entry["status"]["status_str"] for entry in entries] == ["success", "error"] + ["success"] * 4
    assert "execution_interrupted" in [kind for kind, _ in entries[1]["status"]["messages"]]
    for prompt, entry, expected in zip(queued[2:4], entries[2:4], alone):
        found = client.masks(prompt, entry["outputs"])
        assert len(found) == SEGMENTS and np.array_equal(found, expected)
