"""Work for a cluster that needs no model: takes its time over every name, and ends its worker over some.

As a script: python light_work.py FOLDER ADDRESS NAMES does so many names, and prints a line of JSON for each. What the
workers did goes to FOLDER/diaries; they hurry once there is a file FOLDER/hurry.
"""

import json
import os
import sys
import time
from pathlib import Path


class Sleeper:
    """The work is made and called as that on pictures is."""

    def __init__(self, job):
        self.folder = job

    def __call__(self, name):
        if name.startswith("deadly"):
            os._exit(1)
        time.sleep(0.05 if (self.folder / "hurry").exists() else 1)
        return {"length": len(name)}


if __name__ == "__main__":
    from light_work import Sleeper as Known  # by the name under which the workers find it

    from batch.cluster import Cluster, spread

    folder, address = Path(sys.argv[1]), sys.argv[2]
    where = Cluster(address, 2 if address == "local" else None, folder / "diaries", (folder,))
    names = [*(f"name {number}" for number in range(int(sys.argv[3]))), "deadly"]
    for done, row in spread(Known, folder, names, where):
        print(json.dumps([done, row]), flush=True)
