"""Argo CD's judgement of an object: the health check that we ship, run as Argo CD runs one (util/lua/lua.go).

It hands the object in as the global `obj`, to a Lua 5.1 that has the base and table libraries and not much else.
"""

from pathlib import Path
from typing import Any

import yaml
from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]  # (lupa has no stubs of its own)

FILE = Path(__file__).parents[2] / "docs" / "gitops" / "argocd-cm.yaml"
CHECK = "resource.customizations.health.fanout.dev_FanoutRoute"


def health(route: dict[str, Any]) -> tuple[str, str]:
    """Give the health and its message."""
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    for library in ("string", "math", "io", "os", "debug", "coroutine"):
        lua.globals()[library] = None
    lua.globals().obj = lua.table_from(route, recursive=True)
    found = lua.execute(yaml.safe_load(FILE.read_text(encoding="utf-8"))["data"][CHECK])
    return str(found.status), str(found.message)
