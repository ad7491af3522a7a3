"""The small trained model in this process, and the evaluation of the lab."""

from comfyui.in_process import start_host

start_host()
