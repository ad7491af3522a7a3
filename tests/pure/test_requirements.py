"""What a cluster needs goes into the environment of everything else, at the versions that are there."""

import re

from comfyui.environment import CLUSTER, DEVELOPMENT


def pinned(path):
    """{package: version}; one that is listed for several platforms has several."""
    found = re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE)
    return {name: {version for each, version in found if each == name} for name, _ in found}


def test_both_lists_name_the_same_versions():
    development, cluster = pinned(DEVELOPMENT.requirements), pinned(CLUSTER.requirements)
    assert len(development) > 100 and "ray" in cluster and "numpy" in cluster.keys() & development.keys()
    assert {name: cluster[name] - development[name] for name in cluster.keys() & development.keys()} == {
        name: set() for name in cluster.keys() & development.keys()
    }
