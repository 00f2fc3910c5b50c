"""The command `amaxds`, also as `python -m amaxds`."""

import signal


def main() -> None:
    """Run the command. Interrupted before it has begun to, it ends without a word, as there is nothing to go on with."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from amaxds.cli import main as command

    command.main()


if __name__ == "__main__":
    main()
