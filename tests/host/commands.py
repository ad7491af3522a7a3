"""Commands as processes of their own, ended in any case with all that they started."""

import os
import signal
import subprocess
import time

from comfyui.children import LAB, variables
from comfyui.in_process import host_path


class Command:
    """A command that imports the lab and ComfyUI, and has so many seconds; what it writes goes to the file `log`."""

    def __init__(self, command, log, seconds, *paths):
        self.command, self.log, self.end = list(map(str, command)), log, time.monotonic() + seconds
        self.env = variables(host_path())
        self.env["PYTHONPATH"] = os.pathsep.join([self.env["PYTHONPATH"], *paths])

    def __enter__(self):
        with open(self.log, "w") as file:
            self.process = subprocess.Popen(
                self.command, env=self.env, cwd=LAB, stdout=file, stderr=file, start_new_session=True
            )
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def runs(self):
        """Whether it does, and may."""
        return self.process.poll() is None and time.monotonic() < self.end

    def wait(self):
        """Its exit code, or the error that it took too long."""
        return self.process.wait(max(0.0, self.end - time.monotonic()))

    def said(self):
        return self.log.read_text()
