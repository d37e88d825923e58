"""Files that appear complete or not at all."""

from __future__ import annotations

import pytest

from minigrad.files import make_writable, remove_drafts, whole_file, write_text


def test_a_file_appears_at_the_end_and_a_failure_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "f"
    for durable in (False, True):
        with whole_file(path, durable) as file:
            file.write(b"new")
            assert not path.exists()
        assert path.read_bytes() == b"new"
        with pytest.raises(TypeError), whole_file(path, durable) as file:
            file.write("text")
        assert path.read_bytes() == b"new"
        assert [p.name for p in tmp_path.iterdir()] == ["f"]
        path.unlink()


def test_text_that_utf8_lacks_is_written_as_an_escape(tmp_path):
    write_text(tmp_path / "t", "a\udcff")
    assert (tmp_path / "t").read_text() == "a\\udcff"


def test_a_folder_is_made_and_what_a_kill_left_is_removed(tmp_path):
    make_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / ".minigrad-0123.tmp").touch()
    (tmp_path / "kept.tmp").touch()
    remove_drafts(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "kept.tmp"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_writable(tmp_path / "file" / "x")
