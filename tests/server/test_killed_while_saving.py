"""A server that is killed while it saves leaves no half file under a name, and the next one saves as ever."""

import multiprocessing
import os
import shutil
import signal
import time
from contextlib import suppress

import pytest
import torch
from emerdiff.emerdiff_ops.files import safetensors_file

from comfyui.server import HostServer, default_host
from comfyui.workflow import add

SIZE = (1, 512, 512, 192)  # 201 MB, so that the writing takes long enough to be met
PREFIX = "killed/value"


def saving():
    """A prompt that reads a large value and saves it."""
    prompt = {}
    load = add(prompt, "EmerDiffLoad", file_name="large.safetensors")
    add(prompt, "EmerDiffSave", value=[load, 0], filename_prefix=PREFIX)
    return prompt


def begun(folder, deadline=60):
    """Waits until a file, under whatever name, begins to be written in the folder or below it; its path there."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        for parent, _, names in os.walk(folder):
            for path in (os.path.join(parent, name) for name in names):
                with suppress(FileNotFoundError):  # it has got another name meanwhile
                    if os.path.getsize(path):
                        return os.path.relpath(path, folder)
    raise TimeoutError(f"nothing was written in {folder}")


def whole_and_left(folder):
    """Names of the files that can be read in full, and of the hidden folders; there is nothing else."""
    names = set(os.listdir(folder))
    hidden = {name for name in names if name.startswith(safetensors_file.UNFINISHED)}
    for name in names - hidden:
        assert safetensors_file.load(folder / name)[1]["features"].shape == SIZE
    return names - hidden, hidden


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A large value, as a file."""
    path = tmp_path_factory.mktemp("large") / "large.safetensors"
    safetensors_file.save(path, "features", {"features": torch.zeros(SIZE).fill_(0.5)}, {"latent_size": "[1024, 1024]"})
    return path


def test_a_killed_server_leaves_no_half_file_and_the_next_saves_beside_what_it_left(client, large):
    with HostServer(default_host()) as server:
        os.link(large, server.base / "input" / "large.safetensors")
        folder = server.base / "output" / "killed"
        folder.mkdir()
        server.queue(saving())
        print("killed while writing", begun(folder))
        os.killpg(server._process.pid, signal.SIGKILL)
        server._process.wait()
        whole, left = whole_and_left(folder)
        assert (whole, len(left)) == (set(), 1)
        shutil.copytree(folder, client.path("killed"))
    os.link(large, client.server.base / "input" / "large.safetensors")
    client.run(saving())
    assert whole_and_left(client.path("killed")) == ({"value_00001_.safetensors"}, left)


def save_for_ever(value, path):
    while True:
        safetensors_file.save(path, *value)


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15, 0.3])
def test_a_process_killed_at_any_moment_of_the_saving_leaves_no_half_file(large, tmp_path, delay):
    """Killed some time after a first save began, mostly while a later one replaces its file."""
    arguments = safetensors_file.load(large), tmp_path / "value.safetensors"
    process = multiprocessing.get_context("fork").Process(target=save_for_ever, args=arguments)
    process.start()
    try:
        begun(tmp_path)
        time.sleep(delay)
    finally:
        process.kill()
        process.join()
    whole, left = whole_and_left(tmp_path)
    assert whole <= {"value.safetensors"} and len(left) <= 1 and whole | left
