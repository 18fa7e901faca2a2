"""Tables on stdout, readable in a terminal of any width and in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_LEAST_WIDTH = 120


def print_table(table: Table) -> None:
    """Print a table on stdout; in a pipe it is not squeezed to a terminal's width."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=_LEAST_WIDTH)
    console.print(table)
