"""The group of commands, how it tells errors, and what commands share."""

import logging
import sys
import time
import warnings

import click

from ..errors import DataWarning, GlacierlabError, extras


def show_note(message, category, *_):
    """Warnings about the data as notes; those of libraries are for developers."""
    if issubclass(category, DataWarning):
        click.echo(f"glacierlab: note: {message}", err=True)


class OneLine(click.Group):
    """A group whose every error is one line on stderr and exit code 2; --debug shows the traceback."""

    def main(self, args=None, **extra):
        args = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in args
        log, level = logging.getLogger("glacierlab"), logging.getLogger("glacierlab").level
        handler = logging.StreamHandler()  # to stderr
        if debug:
            log.addHandler(handler)
            log.setLevel(logging.DEBUG)
        try:
            with warnings.catch_warnings(), extras("This command"):
                warnings.showwarning = show_note
                code = super().main([a for a in args if a != "--debug"], standalone_mode=False, **extra)
            sys.exit(code if isinstance(code, int) else 0)
        except click.exceptions.Abort:
            click.echo("glacierlab: stopped.", err=True)
            sys.exit(130)
        except click.ClickException as error:
            click.echo(f"glacierlab: {error.format_message()}", err=True)
            sys.exit(2)
        except (GlacierlabError, OSError, MemoryError) as error:
            if debug:
                raise
            click.echo(f"glacierlab: {' '.join(str(error).split()) or type(error).__name__}", err=True)
            sys.exit(2)
        finally:
            log.removeHandler(handler)
            log.setLevel(level)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="glacierlab")
def main():
    """Map glaciers from satellite images. `--debug` anywhere shows tracebacks."""


def steps():
    """A function that says what was done and how long it took."""
    last = time.perf_counter()

    def say(text):
        nonlocal last
        now = time.perf_counter()
        click.echo(f"{now - last:6.1f} s  {text}")
        last = now

    return say


def number(text, option):
    """A number of an option that also takes words."""
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number.", param_hint=option) from None
