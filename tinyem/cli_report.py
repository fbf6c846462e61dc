"""Commands that write pages from run records."""

from pathlib import Path

import click

from .cli_course import lang_option, open_page
from .lang import LANGUAGES


class _Report(click.Group):
    """A folder in place of a subcommand means `write`."""

    def parse_args(self, ctx, args):
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["write", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Report)
def report():
    """Pages from run records: `report DIR [--pdf] [--open] [--lang LANGUAGE]` writes DIR/report.html again; `compare` and `index` look at several."""


def _show(page: Path, opened: bool) -> None:
    click.echo(page)
    if opened:
        open_page(page)


open_option = click.option("--open", "opened", is_flag=True, help="Open the page.")


@report.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pdf", is_flag=True, help="Also print it to report.pdf (needs Chromium, Chrome or Edge).")
@open_option
@click.option("--lang", type=click.Choice(LANGUAGES), envvar="TINYEM_LANG", help="Language of the page.  [default: that of the run]")
def write(folder, pdf, opened, lang):
    """Write FOLDER/report.html again from the run record in FOLDER."""
    from . import gallery
    from .report import write as write_report

    page = write_report(folder, lang)
    if pdf:
        click.echo(gallery.pdf(page))
    _show(page, opened)


@report.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default="compare.html", show_default=True, help="Page to write.")
@open_option
@lang_option
def compare(folders, out, opened, lang):
    """Two or more run records on one page."""
    from . import gallery

    _show(gallery.compare(folders, out, lang), opened)


@report.command()
@click.argument("folder", type=click.Path(path_type=Path), default="tinyem-runs")
@open_option
@lang_option
def index(folder, opened, lang):
    """FOLDER/index.html: all run records below FOLDER. [default: tinyem-runs]"""
    from . import gallery

    _show(gallery.index(folder, lang), opened)
