"""The command `fanout`, which tells at its end which functions were called from the first byte of an event on.

    python called.py FILE run …

FILE gets a line for each function, of whichever thread: its module's path, a space, its name.
"""

import pathlib
import sys
import threading
import types

from fanout_dispatcher.cli.main import main

BEGIN = ("ingress/protocol.py", "data_received")

called: set[tuple[str, str]] = set()


def remember(frame: types.FrameType, what: str, _: object) -> None:
    """Keep a function that is called, once an event has come; `sys.setprofile` calls this."""
    if what == "call":
        code = frame.f_code
        if called or (code.co_name == BEGIN[1] and code.co_filename.endswith(BEGIN[0])):
            called.add((code.co_filename, code.co_name))


if __name__ == "__main__":
    out = pathlib.Path(sys.argv.pop(1))
    threading.setprofile(remember)
    sys.setprofile(remember)
    try:
        main()
    finally:
        sys.setprofile(None)
        out.write_text("".join(f"{path} {name}\n" for path, name in sorted(called.copy())), encoding="utf-8")
