"""Spanish lines split into sentences: ¿ ¡ … quotes, dashes, abbreviations, initials, figures.

A sentence ends at `.` `!` `?` or `…`, closing marks included, before a blank and something that
opens a sentence: a capital or a figure, after any of ¿ ¡ « “ ( [ or a dash. So `—¡Ven! —dijo ella`
stays whole, since what follows is small. A full stop after a title, a reference (`art. 5`) or an
initial ends nothing; one after `etc.` or `EE. UU.` may.
"""

from __future__ import annotations

import re

# Tried once for a row of marks, and never given back: a page of leaders (`.....`) would take the
# square of its length.
_END = re.compile(
    r"(?<![.!?…])(?P<mark>[.!?…]++)"
    r"""[»”"')\]’]*+(?P<blank>\s++)"""
    r"""(?=[«“"'‘(\[¿¡—–-]*\s?(?P<next>[A-ZÁÉÍÓÚÜÑÀÈÒÇ0-9]\w*))"""
)
_TOKEN = re.compile(r"[^\s«“\"'‘(\[¿¡—–]*$")
# Never the end: something always follows.
_TITLE_LIST = """
sr sra srta sres sras dr dra dres dras d dña prof profa lic ing arq gral cnel cap capt tte sgto alm
mons fr hno hna sto sta excmo excma ilmo ilma rvdo pág págs pag pags p pp núm núms nº art arts caps
vol vols fig figs ed eds av avda avd ctra pza dpto depto prov cf cfr vid ej vs aprox ee rr ff cc
ntra admón coord párr mr mrs
"""
_TITLES = frozenset(_TITLE_LIST.split())
# An abbreviation only before a figure: `No. 5`, but also `Dijo que no. Luego...`.
_NUMBERED_LIST = """
no nos n t ley dec res exp tel tfno lib disp inc máx mín sig
"""
_NUMBERED = frozenset(_NUMBERED_LIST.split())
# Followed by a word that mostly opens sentences, an initial was the end: `vitamina C. El`.
_OPENER_LIST = """
El La Los Las Un Una En Pero Y No Es Se Por Con A Al Lo Su Sus Si Cuando Este Esta Según
"""
_OPENERS = frozenset(_OPENER_LIST.split())


def split_sentences(line: str) -> list[str]:
    """Split one line into its sentences, without blanks around them, in order.

    Joined by blanks they are the line again.
    """
    sentences, start = [], 0
    for match in _END.finditer(line):
        if match["mark"] == "." and not _ends(line[start : match.start()], match["next"]):
            continue
        sentences.append(line[start : match.start("blank")].strip())
        start = match.end("blank")

    last = line[start:].strip()
    return [*sentences, last] if last else sentences


def _ends(before: str, following: str) -> bool:
    """Tell whether the full stop after `before` ends a sentence that `following` could go on."""
    if not any(map(str.isalpha, before)):
        return False  # `1. Primero`: the number of what follows

    token = _TOKEN.search(before[-40:])
    written = token[0] if token else ""
    word = written.lower()
    if word.rpartition(".")[2] in _TITLES or (word in _NUMBERED and following[0].isdigit()):
        return False

    # An initial, or one letter of an abbreviation such as `44 a. C.`
    if len(written) == 1 and written.isalpha():
        return following in _OPENERS if written.isupper() else following != "C"
    return True
