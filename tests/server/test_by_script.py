"""docs/api: the prompts are those of the workflows, and the client runs one on a server."""

import json
import os
import subprocess
import sys

from PIL import Image

from comfyui.in_process import REPOSITORY
from comfyui.workflow import POINT, PROMPTS, WORKFLOWS, load_prompt, prompt_file, replace_loaders

CLIENT = PROMPTS / "client.py"


def test_there_are_no_other_prompts():
    assert set(PROMPTS.glob("*.json")) == {prompt_file(path.stem) for path in WORKFLOWS.glob("*.json")}


def test_the_client_is_short():
    assert len(CLIENT.read_text().splitlines()) <= 85


def run_client(server, folder, *words):
    environment = os.environ | {"COMFYUI": f"http://{server.address}"}
    command = [sys.executable, CLIENT, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_the_client_uploads_runs_and_saves(client, picture, tmp_path):
    prompt = replace_loaders(load_prompt(POINT))
    (tmp_path / "prompt.json").write_text(json.dumps(prompt))
    Image.open(client.server.base / "input" / picture).save(tmp_path / "mine.png")
    points = '12.positive_points=[{"x": 40, "y": 64}]'
    answer = run_client(client.server, tmp_path, "prompt.json", "mine.png", points, "4.seed=3")
    assert answer.returncode == 0, answer.stderr
    status, *files = answer.stdout.split("\n")[:-1]
    assert status == "success" and files
    assert all(Image.open(tmp_path / name).size == Image.open(tmp_path / "mine.png").size for name in files)


def test_the_page_names_every_prompt_and_inputs_that_exist():
    page = (REPOSITORY / "docs" / "scripts.md").read_text()
    for path in sorted(PROMPTS.glob("*.json")):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{path.name}`")]
        prompt = json.loads(path.read_text())
        for place in [word for word in row.split("|")[2].split("`")[1::2] if "." in word]:
            node, key = place.split(".")
            assert key in prompt[node]["inputs"], (path.name, place)
