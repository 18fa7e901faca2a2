"""`pirctl consent`: who agreed that a target is used."""

from __future__ import annotations

from typing import Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result


def consent(
    target: options.TargetArgument = None,
    target_option: options.TargetOption = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--set", metavar="FILE|TEXT", help="Record this: who agreed, in words or in a file."
        ),
    ] = None,
    withdrawn: Annotated[
        bool,
        typer.Option("--withdraw", help="The person does not agree any more: no more videos."),
    ] = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
) -> None:
    """Show who agreed to the use of a target, record it, or withdraw it.

    The record goes into the manifest of every video: your words, or a file's name and hash.

    \b
    pirctl consent obama
    pirctl consent obama --set "J. Doe, by e-mail, 3 May"
    pirctl consent obama --set release.pdf
    pirctl consent obama --withdraw
    """  # noqa: D301
    if given is not None and withdrawn:
        raise typer.BadParameter("give either --set or --withdraw")
    from pirctl.target.consent import consent_of, record_consent, withdraw

    found = options.chosen_target(target, target_option, workspace)
    if given is not None:
        record_consent(found, given)
    elif withdrawn:
        withdraw(found)
    now = consent_of(found.about)
    if json_output:
        print_json({"target": found.name, "consent": now})
        return
    if now is None:
        print_message(f"nobody's consent to the use of {found.name} is recorded")
        return
    print_result(now.words())
    if withdrawn:
        print_message(f"{found.name} will not perform any more; videos made before are untouched")
