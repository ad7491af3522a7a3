"""A command of the lab in this process: python -P -m comfyui.launch COMMAND MODULE [ARGUMENTS]

ComfyUI and the pack come first, so that the module and whatever it needs import them plainly, at their top.
"""

import sys
from importlib import import_module

from comfyui.in_process import load_pack, start_host
from reasons import ended


def launch(command: str, module: str, *arguments: str) -> int:
    """The exit code of the module's main(); its arguments are found in sys.argv."""
    sys.argv = [f"run.py {command}", *arguments]
    start_host()
    load_pack()
    return ended(import_module(module).main)


if __name__ == "__main__":
    sys.exit(launch(*sys.argv[1:]))
