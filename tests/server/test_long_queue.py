"""Sixty queued runs end with the memory they began with."""

import json
import time

import psutil
from PIL import Image
from server_client import PIXELS

from comfyui.workflow import SEGMENT

RUNS = 60
WARMING_UP = 10
MEGABYTES = 9  # by which the process may differ; one run's tensors are below 1 MB, so a leak of them shows


def work_off(client, picture, seeds) -> None:
    for seed in seeds:
        client.server.queue(client.workflow(SEGMENT, picture, segments=2, preset="fast", seed=seed))
    while json.loads(client.get("/prompt"))["exec_info"]["queue_remaining"]:
        time.sleep(0.5)


def memory(client) -> float:
    """Megabytes of the server, after it has given up its caches and models."""
    client.server.post("/free", {"unload_models": True, "free_memory": True})
    time.sleep(2)
    return psutil.Process(client.server._process.pid).memory_info().rss / 1e6


def test_memory_after_a_long_queue(client):
    picture = client.put_image("queue.png", Image.fromarray(PIXELS).resize((64, 64)))
    work_off(client, picture, range(WARMING_UP))
    before = memory(client)
    work_off(client, picture, range(WARMING_UP, WARMING_UP + RUNS))
    after = memory(client)
    print(f"{before:.0f} MB before, {after:.0f} MB after {RUNS} runs")
    failed = [
        entry for entry in json.loads(client.get("/history")).values() if entry["status"]["status_str"] != "success"
    ]
    assert not [entry for entry in failed if picture in json.dumps(entry["prompt"])]
    assert after - before < MEGABYTES
