"""The command `amaxds`, also as `python -m amaxds`.

Interrupted before it has begun, it ends without a word, as there is nothing to go on with.
"""

try:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
except KeyboardInterrupt:  # It came before that was done: end as it would have been ended.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run the command."""
    from amaxds.cli import main as command

    command.main()


if __name__ == "__main__":
    main()
