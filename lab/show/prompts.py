"""The bundled workflows as prompts, docs/api/*.json: what the front end queues for each, for programs to send."""

import json

from comfyui import browser
from comfyui.chromium import ensure_browser
from comfyui.server import HostServer
from comfyui.workflow import WORKFLOWS, prompt_file


def main() -> None:
    with HostServer() as server, browser.chromium(ensure_browser()) as chrome:
        browser.set_up(server)
        page = browser.open_page(chrome, server)
        for path in sorted(WORKFLOWS.glob("*.json")):
            prompt = browser.prompt_of(page, json.loads(path.read_text()))
            prompt_file(path.stem).write_text(json.dumps(prompt, indent=2, ensure_ascii=False) + "\n")
            print(prompt_file(path.stem).name)
