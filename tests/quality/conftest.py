"""The small trained model in this process, and the evaluation of the lab."""

from pack import start_host

start_host()
