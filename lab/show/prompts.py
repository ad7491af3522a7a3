"""The bundled workflows as prompts, docs/api/*.json: what the front end would queue for each, for programs to send."""

import json
from pathlib import Path

from comfyui.server import HostServer, default_host
from comfyui.workflow import WORKFLOWS, load_prompt

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "api"


def main() -> None:
    with HostServer(default_host()) as server:
        info = server.object_info()
    for path in sorted(WORKFLOWS.glob("*.json")):
        prompt_file(path.stem).write_text(as_text(load_prompt(path.stem, info)))
        print(prompt_file(path.stem).name)


def prompt_file(workflow: str) -> Path:
    return FOLDER / f"{workflow.removeprefix('EmerDiff ').replace(' ', '_')}.json"


def as_text(prompt: dict) -> str:
    return json.dumps(prompt, indent=2, ensure_ascii=False) + "\n"
