"""Secrets in params, on their way out and in."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.catalogue import System
from runner.model.jobs import Kind
from runner.secrets import MASK
from runner.server.replies import Invalid
from runner.server.sdelements.params import masked, merged
from runner.store.vault import Vault

RALLY = System(
    id="rally", kind=Kind.ALM, name="Rally", short_name="Rally", command="sync_rally", secrets=("alm_pass",)
)
VAULT = Vault(Path("no-such-folder") / "key")
"""Nothing here is sealed."""

NAMES = st.sampled_from(["alm_pass", "alm_user", "alm_server", "title"])
PARAMS = st.dictionaries(NAMES, st.text(min_size=1, max_size=5).filter(lambda text: text != MASK))


def test_an_unknown_systems_params_are_masked_by_their_names() -> None:
    """Where no connector says what is secret, what sounds like one is."""
    params = {"api_token": "t", "bind_password": "p", "user": "u", "secretkey": ""}
    assert masked(params, None) == {"api_token": MASK, "bind_password": MASK, "user": "u", "secretkey": ""}


@given(stored=PARAMS)
def test_what_is_shown_can_be_written_back(stored: dict[str, Any]) -> None:
    """Reading params and putting them back, mask and all, changes nothing."""
    assert merged(stored, masked(stored, RALLY), system=RALLY, vault=VAULT, replace=True) == stored
    assert merged(stored, masked(stored, RALLY), system=RALLY, vault=VAULT, replace=False) == stored


@given(stored=PARAMS, new=PARAMS | st.dictionaries(NAMES, st.just(MASK)), replace=st.booleans())
def test_a_kept_secret_never_moves(stored: dict[str, Any], new: dict[str, Any], replace: bool) -> None:
    """Whatever is written: a secret that stays was given again or its server stayed; no mask is stored."""
    try:
        result = merged(stored, new, system=RALLY, vault=VAULT, replace=replace)
    except Invalid:
        return
    secret = result.get("alm_pass")
    assert secret != MASK
    if secret is not None and new.get("alm_pass") in (None, MASK):
        assert secret == stored["alm_pass"]
        assert result.get("alm_server") == stored.get("alm_server")


@pytest.mark.parametrize("cleared", [None, ""])
def test_a_cleared_secret_lets_the_server_move(cleared: str | None) -> None:
    """Without a secret there is nothing that could go astray."""
    stored = {"alm_pass": "s", "alm_server": "a"}
    given_ = {"alm_pass": cleared, "alm_server": "b"}
    assert merged(stored, given_, system=RALLY, vault=VAULT, replace=False) == {"alm_server": "b"}
