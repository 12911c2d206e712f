"""The commands that take times: that all is there, never how long it took."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("name", [".", "config.json"])
def test_profile_of_a_run(name, trained, miniae, tmp_path):
    picture = tmp_path / "p.png"
    code, out, err = miniae("profile", trained / name, "--steps", 3, "--plot", picture)
    assert (code, err) == (0, "")
    for piece in ("autoencoder 5-4-2", "DenseFunction", "128x5", "optimizer", "data feeding", "the rest", "100.0 %"):
        assert piece in out, piece
    assert picture.stat().st_size > 1000


def test_profile_of_what_is_no_run(miniae, tmp_path):
    code, _, err = miniae("profile", tmp_path)
    assert code == 2 and "config.json does not exist" in err
    (tmp_path / "config.json").write_text('{"epochs": "many"}')
    code, _, err = miniae("profile", tmp_path)
    assert code == 2 and "epochs" in err
