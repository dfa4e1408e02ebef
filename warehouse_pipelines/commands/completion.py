"""``warehouse completion``: what makes a shell complete commands, CRMs and entities."""

import click

from warehouse_pipelines.commands.arguments import Misused


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, CRMs and entities.

    \b
    bash:  eval "$(./run completion bash)"            in ~/.bashrc
    zsh:   eval "$(./run completion zsh)"             in ~/.zshrc, behind compinit
    fish:  ./run completion fish | source             in ~/.config/fish/config.fish

    It completes `warehouse`, and in bash and zsh also `./run`.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise Misused(f"click completes nothing in {shell}.")
    script = found(click.get_current_context().find_root().command, {}, "warehouse", "_WAREHOUSE_COMPLETE").source()
    if shell == "bash":
        script += "\ncomplete -o nosort -F _warehouse_completion ./run\n"
    if shell == "zsh":
        # Asks the command that is typed, which need not be on the PATH.
        script = script.replace("    (( ! $+commands[warehouse] )) && return 1\n", "")
        script = script.replace(
            "_WAREHOUSE_COMPLETE=zsh_complete warehouse", "_WAREHOUSE_COMPLETE=zsh_complete $words[1]"
        )
        script += "\ncompdef _warehouse_completion ./run\n"
    click.echo(script)
