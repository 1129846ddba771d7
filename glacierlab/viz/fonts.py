"""Text of any script, in whichever installed fonts have its letters."""

from functools import cache, wraps
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

BOXES = ("last resort", "lastresort", "adobe blank")  # fonts that have a box for every letter


def legible(draw):
    """A function that draws a figure, whose text is then drawn without missing letters.

    Letters that matplotlib's font lacks come from an installed one that has them; those that none has are
    spelled by their code, such as \\u51b0. Ticks write their labels anew at every draw: `as_written` is for
    them.
    """

    @wraps(draw)
    def drawn(*args, **options):
        figure = draw(*args, **options)
        texts = {text: lacking(text.get_text(), text.get_fontfamily()) for text in figure.findobj(Text)}
        families, unknown = families_for(frozenset().union(*texts.values()))
        for text, letters in texts.items():
            if letters:
                text.set_fontfamily([*text.get_fontfamily(), *families])
                text.set_text(spelled(text.get_text(), unknown))
        return figure

    return drawn


def is_legible(text):
    """Whether installed fonts have all letters of a text."""
    return not without_font(text)


def as_written(name):
    """A name as text for matplotlib, which takes what stands between two dollars for a formula."""
    text = str(name).replace("$", r"\$")
    return spelled(text, without_font(text))


def without_font(text):
    """Letters of a text that no installed font has."""
    return families_for(lacking(text, FontProperties().get_family()))[1]


def lacking(text, families):
    """Letters of a text that these font families lack."""
    letters = frozenset(text) - {"\n"}
    if text.isascii():
        return frozenset()
    for family in families:
        font = get_font(findfont(FontProperties(family=[family])))
        letters = frozenset(letter for letter in letters if not font.get_char_index(ord(letter)))
    return letters


@cache
def families_for(letters):
    """(installed font families that have these letters, letters that none has)."""
    found, left = [], set(letters)
    files = {entry.name: entry.fname for entry in fontManager.ttflist if Path(entry.fname).exists()}
    for family in sorted(files) if left else ():
        if not family.lower().startswith(BOXES):
            font = get_font(files[family])
            here = {letter for letter in left if font.get_char_index(ord(letter))}
            found += [family] * bool(here)
            left -= here
    return tuple(found), frozenset(left)


def spelled(text, letters):
    """A text with some of its letters written by their code."""
    code = lambda letter: letter.encode("ascii", "backslashreplace").decode()
    return "".join(code(letter) if letter in letters else letter for letter in text)
