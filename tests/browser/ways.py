"""In which node modes and front ends a test is run: in all four pairs of them, unless it is marked with one of these.

What neither the mode nor the front end decides runs in one pair; what either may, in two that have each of both once.
"""

import pytest

from comfyui.front_ends import NEWEST, OWN

classic_own = pytest.mark.ways(("classic", OWN))
vue_own = pytest.mark.ways(("vue", OWN))
vue_newest = pytest.mark.ways(("vue", NEWEST))
two_ways = pytest.mark.ways(("classic", OWN), ("vue", NEWEST))
other_two_ways = pytest.mark.ways(("vue", OWN), ("classic", NEWEST))


def wanted(item: pytest.Item) -> bool:
    """Whether a test is to be run in the pair that its parameters say."""
    marker, parameters = item.get_closest_marker("ways"), getattr(item, "callspec", None)
    if marker is None or parameters is None or "release" not in parameters.params:
        return True
    return (parameters.params["front_end_of_a_mode"], parameters.params["release"]) in marker.args
