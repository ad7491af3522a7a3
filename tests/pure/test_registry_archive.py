"""What the check of the registry's archive says of archives that are not as they should be."""

import pytest

from checks.trade import ROOT_FILES, archive_faults, tracked_files

PACKED = {"nodes/__init__.py", "nodes/web/docs/A.md", "emerdiff_ops/a.py", "workflows/a.json", "workflows/a.jpg"}
GOOD = ROOT_FILES | PACKED
TRACKED = GOOD | {"tests/test_a.py", "lab/run.py", "docs/a.md", ".ci/run", ".comfyignore"}


def test_a_good_archive_has_no_faults():
    assert archive_faults(GOOD, TRACKED) == []


@pytest.mark.parametrize("name", sorted((TRACKED - GOOD) | {"node.zip", "demo_output/a.png"}))
def test_what_is_not_for_users_is_named(name):
    assert archive_faults(GOOD | {name}, TRACKED) == [f"not for users: {name}"]


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_missing_is_named_also_what_the_repository_lacks(name):
    """Of these what every archive has: the files of the root, and a template's thumbnail."""
    assert archive_faults(GOOD - {name}, TRACKED) == [f"missing: {name}"]
    if name in ROOT_FILES | {"workflows/a.jpg"}:
        assert archive_faults(GOOD - {name}, TRACKED - {name}) == [f"missing: {name}"]


def test_weights_do_not_belong_even_beside_the_nodes():
    name = "nodes/small.safetensors"
    assert archive_faults(GOOD | {name}, TRACKED | {name}) == [f"weights: {name}"]


def test_the_repositorys_files_are_seen():
    assert {"nodes/host/unet.py", "lab/run.py", "workflows/EmerDiff segment image.jpg"} <= set(tracked_files())
