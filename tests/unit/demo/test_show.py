"""What the demo shows of commands."""

import io

from rich.console import Console

from demo.show import Show


def test_nothing_of_what_a_command_wrote_is_cut_however_wide_it_is() -> None:
    written = io.StringIO()
    line = f"0-1  {'TargetRejected ' * 20}order.placed  301"

    Show(Console(file=written, width=120), dict).output("fanout dead-letters list", f"ID\n{line}\n")

    assert written.getvalue() == f"  $ fanout dead-letters list\n    ID\n    {line}\n"
