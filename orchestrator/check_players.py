"""What `doctor` says about the players: who plays, with which key and at which price. No key is ever shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.errors import ModelUnusable
from agents.models import opening
from agents.prices import Usage
from agents.session import MODELS, ROLES
from orchestrator import keys, money, show
from orchestrator.checks import Check, private
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from orchestrator.config import Config


def players(root: Path | None, config: Config, shell: Mapping[str, str]) -> list[Check]:
    """Checks of `.env`, of the keys, of each role and of the caps."""
    own: dict[str, str] = {}
    found: list[Check] = []
    if root is not None and (root / ".env").exists():
        try:
            own = keys.read_env(root / ".env")
        except BadInput as error:
            what, _, fix = str(error).partition(": ")
            return [Check(".env", False, what, fix or f"make it readable: chmod 600 {root / '.env'}")]
        found.append(_env_file(root / ".env"))
    return [
        *found,
        *key_checks(config, own, shell),
        *(_role(config, own, shell, role) for role in ROLES),
        _caps(root, config),
    ]


def key_checks(config: Config, own: Mapping[str, str], shell: Mapping[str, str]) -> list[Check]:
    """One check for each variable that may hold a key: where it is and who uses it."""
    wanted: dict[str, list[str]] = {name: [] for name in opening.KEY_VARIABLES.values()}
    for role in ROLES:
        settled = keys.settings(config, own, role)
        if settled["backend"] in MODELS and (name := opening.key_name(settled)):
            wanted.setdefault(name, []).append(role)
    return [_key(name, ", ".join(roles), own, shell) for name, roles in wanted.items()]


def _key(name: str, roles: str, own: Mapping[str, str], shell: Mapping[str, str]) -> Check:
    places = {"the campaign's .env": own, "the environment": shell}
    where = next((place for place, variables in places.items() if variables.get(name, "").strip()), None)
    if where is None and roles:
        fix = f'put {name}=… into the campaign\'s .env, or set the back end of {roles} to "offline" in config.json'
        return Check(name, False, f"missing, and {roles} need it", fix)
    if where is None:
        return Check(name, True, "not set, not needed")
    if not opening.may_be_key(places[where][name].strip()):
        fix = "put the key itself there, or delete the line"
        return Check(name, False if roles else None, f"what stands in {where} is no key (a placeholder?)", fix)
    if roles:
        return Check(name, True, f"found in {where}, used by {roles}")
    if where == "the environment":
        return Check(name, None, f"found in {where}: not used, since no role of config.json names that back end")
    return Check(name, None, f"found in {where}: not used, since config.json gives every role another back end")


def _env_file(path: Path) -> Check:
    return private(".env", path) or Check(".env", True, f"{path} is there, for you alone")


def _role(config: Config, own: Mapping[str, str], shell: Mapping[str, str], role: str) -> Check:
    settled = keys.settings(config, own, role)
    problem = keys.trouble(config, own, shell, role)
    if problem:
        what, _, fix = problem.partition(": ")
        return Check(role, False, what, fix)
    if settled["backend"] not in MODELS:
        return Check(role, True, {"offline": "the built-in player (offline)"}.get(settled["backend"], "a script"))
    where = f" at {settled['base_url']}" if settled["base_url"] else ""
    price = _price(config, settled, role)
    fallback = f"; {settled['fallback_model']} where it refuses" if settled["fallback_model"] else ""
    return Check(role, True, f"{settled['model']} ({settled['backend']}{where}), {price}{fallback}")


def _price(config: Config, settled: Mapping[str, Any], role: str) -> str:
    price = opening.price(settled, role, keys.caps(config))
    if price.source in ("unknown", "local"):
        return "price unknown, and no cap needs it" if price.source == "unknown" else "a server of your own: free"
    each = 1000
    sent, written = (price.cost(usage) * 1e6 / each for usage in (Usage(input=each), Usage(output=each)))
    return f"${sent:g} in and ${written:g} out for a million tokens ({price.source})"


def _caps(root: Path | None, config: Config) -> Check:
    caps = keys.caps_in_words(config)
    try:
        costs = money.read(root) if root is not None else None
    except ModelUnusable as error:
        what, _, fix = str(error).rpartition(": ")
        return Check("money", False, what, fix)
    spent = f"; {show.money(costs.totals().usd)} spent so far" if costs else ""
    if caps:
        return Check("money", True, f"at most {caps}{spent}")
    return Check("money", None, f"no cap at all{spent}", "set budget.usd in config.json")
