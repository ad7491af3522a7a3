"""A process that is killed while it saves leaves no half file under a name."""

import multiprocessing
import os
import time
from contextlib import suppress

import pytest
import torch
from emerdiff.emerdiff_ops.files import safetensors_file

SIZE = (1, 512, 512, 96)  # 100 MB, so that the writing takes long enough to be met


def begun(folder, deadline=60):
    """Waits until a file, under whatever name, begins to be written in the folder or below it."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        for parent, _, names in os.walk(folder):
            for path in (os.path.join(parent, name) for name in names):
                with suppress(FileNotFoundError):  # it has got another name meanwhile
                    if os.path.getsize(path):
                        return
    raise TimeoutError(f"nothing was written in {folder}")


def save_for_ever(path):
    value = "features", {"features": torch.zeros(SIZE).fill_(0.5)}, {"latent_size": "[1024, 1024]"}
    while True:
        safetensors_file.save(path, *value)


@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_a_process_killed_at_any_moment_of_the_saving_leaves_no_half_file(tmp_path, delay):
    """Killed some time after a first save began, mostly while a later one replaces its file."""
    process = multiprocessing.get_context("fork").Process(target=save_for_ever, args=[tmp_path / "value.safetensors"])
    process.start()
    try:
        begun(tmp_path)
        time.sleep(delay)
    finally:
        process.kill()
        process.join()
    names = set(os.listdir(tmp_path))
    hidden = {name for name in names if name.startswith(safetensors_file.UNFINISHED)}
    assert names and names - hidden <= {"value.safetensors"} and len(hidden) <= 1
    for name in names - hidden:
        assert safetensors_file.load(tmp_path / name)[1]["features"].shape == SIZE
