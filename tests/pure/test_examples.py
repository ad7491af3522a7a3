"""The examples in the docstrings of the functions that the method is made of: they run, and give what they say."""

import doctest

import pytest
from emerdiff.emerdiff_ops import cuts, difference, guided, kmeans, modulation, schedule
from emerdiff.emerdiff_ops.segments import labels, merging

CENTRAL = (
    schedule.timestep_grid,
    kmeans.cluster_masks,
    cuts.cut_masks,
    modulation.modulated_denoising,
    difference.difference_maps,
    guided.guided_filter,
    labels.assign,
    merging.merge_segments,
)


@pytest.mark.parametrize("function", CENTRAL, ids=lambda function: function.__name__)
def test_the_example_gives_what_it_says(function):
    (found,) = doctest.DocTestFinder().find(function, function.__name__, globs=function.__globals__)
    assert found.examples
    assert doctest.DocTestRunner().run(found).failed == 0
