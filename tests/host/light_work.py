"""Work for a cluster that needs no model: sleeps a little over every name, and ends its worker over some.

As a script: python light_work.py DIARIES WORKERS NAME... does it by a Ray of its own and prints a line of JSON a name.
"""

import json
import os
import sys
import time
from pathlib import Path


class Sleeper:
    """What segments pictures in earnest is called in the same way."""

    def __init__(self, job):
        self.seconds = job

    def __call__(self, name):
        if name.startswith("deadly"):
            os._exit(1)
        time.sleep(self.seconds)
        return {"length": len(name), "worker": os.getpid()}


if __name__ == "__main__":
    from light_work import Sleeper as Known  # by its own name, under which the workers find it

    from batch.cluster import Cluster, spread

    where = Cluster("local", int(sys.argv[2]), Path(sys.argv[1]), ())
    for done, row in spread(Known, 0.3, sys.argv[3:], where):
        print(json.dumps([done, row]), flush=True)
