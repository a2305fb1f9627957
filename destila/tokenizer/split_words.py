"""The one splitter of raw Spanish text into words, with their places in the text.

Punctuation is split off (including ¿ ¡ « » …); figures such as `3,5`, `1.000`, `12:30` and `6-2`,
common abbreviations and initials (`Sr.`, `EE.UU.`, `J.`), addresses of mail and web, mentions,
hyphenated words and emoji stay whole. Nothing is normalised: the spans of the words plus the
blanks between them are the text.
"""

from __future__ import annotations

import re

from destila.types import CharSpan

_LETTER = r"[^\W\d_]"
_MARK = "[\u0300-\u036f]"  # combining accents belong to the letter before them
_SHADE = "[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]"
_ABBREVIATIONS = (
    "sr|sra|srta|sres|sras|dr|dra|dres|d|dña|ud|uds|vd|vds|prof|profa|lic|ing|arq|gral|cnel|cap|"
    "tte|sto|sta|pág|págs|núm|núms|nº|art|arts|caps|vol|vols|fig|figs|ed|eds|etc|aprox|av|avda|"
    "tel|tfno|depto|dpto|prov|admón|cía|gob|hnos|máx|mín|min|seg|cf|vs|ej|ss"
)

_WORD = re.compile(
    rf"""
    # web address, closing marks split off
    (?:https?://|www\.)[^\s<>"«»“”]*[^\s<>"«»“”.,;:!?¡¿)\]…'’]
    # mail address
  | [\w.+-]{{0,64}}\w@[\w-]+(?:\.[\w-]*\w)+
    # mention, hashtag
  | [@\#]\w+
    # figures, hours, scores, ordinals
  | \d+(?:[.,:/’'-]\d+)*(?:\.?[ºª°])?(?!\w)
    # EE.UU., p.ej.
  | (?:{_LETTER}{{1,2}}\.){{2,}}
    # abbreviations
  | \b(?i:{_ABBREVIATIONS})\.(?!\w)
    # an initial before a name
  | \b[A-ZÁÉÍÓÚÑÜ]\.(?=\s*[A-ZÁÉÍÓÚÑÜ])
    # words, hyphenated words
  | \w(?:\w|{_MARK})*(?:[-‐'’·](?:\w|{_MARK})+)*
    # dots of omission, dashes
  | \.{{2,}} | -{{2,}}
    # a flag
  | [\U0001f1e6-\U0001f1ff]{{2}}
    # a mark, an emoji with its shades
  | [^\w\s]{_MARK}*{_SHADE}*(?:\u200d[^\w\s]{_SHADE}*)*
    """,
    re.VERBOSE,
)


def split_words(text: str) -> tuple[CharSpan, ...]:
    """Return the spans of the words of a text, in order.

    Every character that is not blank lies in exactly one.
    """
    return tuple(match.span() for match in _WORD.finditer(text))
