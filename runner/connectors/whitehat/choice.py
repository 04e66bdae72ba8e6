"""Which asset a connection means."""

import difflib
from collections.abc import Sequence

from runner.connectors.whitehat.client import Asset
from runner.connectors.whitehat.params import AssetType, WhiteHatParams
from runner.errors import ConfigRejected
from runner.findings.finding import plain

_MOST_NAMED = 5


def choose(assets: Sequence[Asset], params: WhiteHatParams) -> Asset:
    """The one asset that fits; ``ConfigRejected`` names the candidates where several do, or none."""
    known = [one for one in assets if one.type in set(AssetType) and one.id]
    if params.asset_type is not None:
        known = [one for one in known if one.type == params.asset_type]
    if params.asset_id:
        fitting, what = [one for one in known if one.id == params.asset_id], f"id {params.asset_id}"
    else:
        fitting, what = _by_name(known, params.asset_name), f'name "{params.asset_name}"'
    if len(fitting) == 1:
        return fitting[0]
    kind = params.asset_type or "site or application"
    if fitting:
        candidates = ", ".join(map(str, fitting[:_MOST_NAMED]))
        more = f" and {len(fitting) - _MOST_NAMED} more" if len(fitting) > _MOST_NAMED else ""
        raise ConfigRejected(
            f"{len(fitting)} assets at WhiteHat have the {what}: {candidates}{more}. Set asset_id, or "
            "asset_type if that tells them apart."
        )
    raise ConfigRejected(
        f"WhiteHat has no {kind} with the {what} that this key may see{_near(known, params.asset_name)}."
    )


def _by_name(assets: Sequence[Asset], name: str) -> list[Asset]:
    """Those of this very name, else those whose name differs in case and white space only."""
    return [one for one in assets if one.name == name] or [
        one for one in assets if plain(one.name) == plain(name)
    ]


def _near(assets: Sequence[Asset], name: str) -> str:
    names = {one.name for one in assets}
    near = difflib.get_close_matches(name, names, n=_MOST_NAMED) if name else []
    return f"; did you mean {', '.join(near)}" if near else f" (it sees {len(names)})"
