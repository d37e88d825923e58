"""The way to the data sets."""

from __future__ import annotations

import pytest
from kit.download import fetched


def test_data_is_looked_for_then_downloaded_then_explained(tmp_path, capsys):
    asked = []

    def load(root, download, works=2):
        asked.append((root, download))
        if len(asked) < works:
            raise RuntimeError("not there")
        return "data"

    assert fetched(load, str(tmp_path), "MNIST", "its files") == "data"
    assert asked == [(tmp_path, False), (tmp_path, True)]
    assert "downloading" in capsys.readouterr().out
    asked.clear()
    with pytest.raises(SystemExit) as error:
        fetched(lambda root, download: load(root, download, 9), str(tmp_path), "MNIST", "mnist.tar.gz")
    for part in ("MNIST", str(tmp_path), "not there", "Put mnist.tar.gz into", "--data", "--quick"):
        assert part in str(error.value)
