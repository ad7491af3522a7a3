"""Where saved files may lie, under which names, and what a killed server leaves."""

import os
import time

import pytest
import torch
from emerdiff.emerdiff_ops.files import safetensors_file
from emerdiff.nodes.load import EmerDiffLoad
from emerdiff.nodes.save import EmerDiffSave
from emerdiff.nodes.steps.saved import from_file

from refusals import valid_files


@pytest.fixture
def outside(folders):
    """A folder beside the host's, which links in all of them lead to."""
    (folders / "outside").mkdir()
    (folders / "outside" / "x.safetensors").write_bytes(valid_files()[0])
    for kind in ("output", "input"):
        os.symlink(folders / "outside", folders / kind / "link")
        os.symlink(folders / "outside" / "x.safetensors", folders / kind / "linked.safetensors")
    return folders / "outside"


def everything(folder):
    return sorted(folder.rglob("*"))


ESCAPES = ["../outside/x", "link/x", "link/new/x", "a/../../outside/x", "{base}/outside/x", "link/../../outside/x"]


@pytest.mark.parametrize("prefix", [*ESCAPES, "//host/share/x", "C:\\x", "CON/x", "a\0b", "a\nb", "", ".", "..", "a/..",
                                    "/", "x" * 240, "x" * 5000, "sub./x", "sub /x", "a:b", "\ud800"],
                         ids=lambda name: ascii(name)[1:30])  # fmt: skip
def test_nothing_is_written_outside_or_under_a_name_that_some_system_cannot_have(folders, outside, prefix):
    value, before = from_file(outside / "x.safetensors"), everything(folders)
    with pytest.raises(ValueError) as error:
        EmerDiffSave.execute(value, prefix.format(base=folders))
    assert type(error.value) is ValueError and everything(folders) == before


def test_a_date_does_not_lead_outside(folders, outside):
    (folders / "output" / str(time.localtime().tm_year)).symlink_to(outside)
    before = everything(folders)
    with pytest.raises(Exception, match="outside the output folder"):  # newer hosts see it first
        EmerDiffSave.execute(from_file(outside / "x.safetensors"), "%year%/x")
    assert everything(folders) == before


def test_a_file_where_a_folder_should_be_is_said(folders, outside):
    (folders / "output" / "taken").touch()
    with pytest.raises(ValueError, match="use another name"):
        EmerDiffSave.execute(from_file(outside / "x.safetensors"), "taken/x")


@pytest.mark.parametrize("prefix", ["value", "a/b/c", "./a//b", "a/../b", "a/", "{base}/output/x", "%year%", ".hidden",
                                    "caf\u00e9 (1)", "x" * 230])  # fmt: skip
def test_other_prefixes_are_written_and_read_back(folders, outside, prefix):
    value, before = from_file(outside / "x.safetensors"), set(everything(folders))
    EmerDiffSave.execute(value, prefix.format(base=folders))
    (path,) = [path for path in set(everything(folders)) - before if path.is_file()]
    assert path.is_relative_to(folders / "output")
    name = str(path.relative_to(folders / "output"))
    assert torch.equal(EmerDiffLoad.execute(name).result[0].features, value.features)


@pytest.mark.parametrize("name", [*(f"{each}.safetensors" for each in ESCAPES), "linked.safetensors", "link", "a\0b",
                                  "//host/share/x", "\\\\host\\x", "C:x", "NUL", "", ".", "x" * 5000, "y" * 256,
                                  "\ud800", "sub/" * 2000], ids=lambda name: ascii(name)[1:30])  # fmt: skip
def test_nothing_outside_is_read_nor_asked_for_its_age(folders, outside, name):
    for function in (EmerDiffLoad.execute, EmerDiffLoad.fingerprint_inputs):
        with pytest.raises(ValueError) as error:
            function(name.format(base=folders))
        assert type(error.value) is ValueError and len(str(error.value)) < 6000


def test_a_loop_of_links_is_no_file(folders):
    os.symlink("loop", folders / "output" / "loop")
    with pytest.raises(ValueError, match="no file|is not inside"):
        EmerDiffLoad.execute("loop")


# -- what a killed server leaves


def test_what_killed_saves_left_goes_after_a_day_and_nothing_else(folders, outside):
    value, output = from_file(outside / "x.safetensors"), folders / "output"
    names = [f".emerdiff-unfinished-{age}" for age in ("old", "young")] + ["emerdiff-unfinished-old", ".emerdiff-old"]
    for name in names:
        (output / name).mkdir()
        (output / name / "x.safetensors").write_bytes(b"half")
        os.utime(output / name, (0, 0) if "old" in name else None)
    (output / ".emerdiff-unfinished-file").touch()
    os.utime(output / ".emerdiff-unfinished-file", (0, 0))
    os.symlink(outside, output / ".emerdiff-unfinished-link")
    os.utime(output / ".emerdiff-unfinished-link", (0, 0), follow_symlinks=False)
    before = everything(output)
    EmerDiffSave.execute(value, "x")
    gone = {path for path in before if path.is_relative_to(output / names[0])}
    assert gone and set(everything(output)) == set(before) - gone | {output / "x_00001_.safetensors"}
    assert (outside / "x.safetensors").exists()


def test_a_saved_file_is_on_the_disk_before_it_has_its_name_and_others_may_read_it(folders, outside, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append(os.fstat(number).st_size), fsync(number)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("named"), replace(*paths)))
    EmerDiffSave.execute(from_file(outside / "x.safetensors"), "x")
    path, plain = folders / "output" / "x_00001_.safetensors", folders / "plain"
    plain.touch()
    assert done[-2:] == [path.stat().st_size, "named"] and path.stat().st_mode == plain.stat().st_mode
    assert safetensors_file.load(path)
