"""Measure how the house is built, as a table: `python tests/rules/house_table.py [ROOM ...] [--at FOLDER]`.

The figures are taken from the syntax trees of the library, so that two states of the code can be
laid side by side: `--at` measures another checkout. Rooms narrow it to some folders of the package.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import statistics
import tokenize
from collections import Counter, defaultdict
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef

PLUG_IN_NAMES = {"SHARED", "TASK", "LABELS", "Options", "Config", "load", "build", "fit", "run"}
"""Names that many files define because a socket asks for them."""

IMPERATIVE = frozenset(
    """
    accept account add adjust advance advise align allow answer append apply arrange ask assert
    assign attach average begin bind block bound break bring build cache calculate call cap cast
    change check choose chunk clean clear clip close cluster collapse collate collect combine
    compare compile complete compose compress compute concatenate configure confirm connect
    construct convert copy correct corrupt count cover create cross crop cut decide decode
    deduplicate define delete describe detect determine discard distil distribute divide do
    download drop draw dump embed enable encode end enforce ensure erase escape estimate evaluate
    exclude execute expand explain export express extend extract fail fetch fill filter find
    finish fit flatten flush fold follow forget format forward free freeze fuse gather generate
    get give go group grow guess guard halve hand handle hash hide hold identify ignore import
    include increase index infer initialise initialize insert inspect install interpret invert
    iterate join keep kill label lay lead learn leave limit link list load locate lock log look
    lower make map mark mask match measure merge mix move multiply name normalise normalize note
    number observe offer omit open order pack pad parse partition pass pick place plan play plot
    point pool predict prepare preserve print probe process produce profile project prove provide
    prune pull push put quantise quantize quote raise randomise rank read rebuild receive record
    recover reduce refuse register regroup release remember remove rename render reorder repair
    repeat replace replay report represent request require rescale reserve reset reshape resolve
    restore restrict resume retrieve return reuse reverse rewrite roll rotate round run sample
    save scale scan score search seed select send separate serialise serve set shape share shift
    show shrink shuffle shut sign skip slice smooth solve sort spell split spread stack start
    state step stop store stream strip substitute subtract sum summarise swap switch take tag tell
    terminate test tie time tokenise tokenize total trace track train transform translate
    transpose treat trim truncate try turn undo unfold unpack update use validate verify visit
    wait walk warm warn watch weigh widen withdraw wrap write yield zero
    """.split()
)


def main() -> None:
    """Print the table of one checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", help="folders of the package; none = all of it")
    parser.add_argument("--at", type=Path, default=Path(__file__).parents[2], help="a checkout")
    arguments = parser.parse_args()

    figures = measure(arguments.at, arguments.rooms)
    print("| measured | value |\n| --- | --- |")
    for name, value in figures.items():
        print(f"| {name} | {value} |")


def measure(root: Path, rooms: list[str]) -> dict[str, str]:
    """Return every figure of the table by its name."""
    package = root / "destila"
    folders = [package / room for room in rooms] or [package]
    paths = sorted(path for folder in folders for path in folder.rglob("*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    functions = [(p, n) for p, tree in trees.items() for n in ast.walk(tree) if is_function(n)]

    return {
        **sizes(package, texts),
        **function_figures(functions),
        **prose(texts, functions),
        **density(texts, trees),
        **names(texts, trees, functions),
        **outside(root),
    }


def is_function(node: ast.AST) -> bool:
    """Tell whether a node defines a function."""
    return isinstance(node, Function)


def quantiles(values: list[int], places: tuple[float, ...] = (0.5, 0.9, 1.0)) -> str:
    """Write median, 90th percentile and maximum of some numbers."""
    ordered = sorted(values) or [0]
    return " / ".join(str(ordered[min(len(ordered) - 1, int(len(ordered) * p))]) for p in places)


def sizes(package: Path, texts: dict[Path, str]) -> dict[str, str]:
    """Measure files and rooms."""
    lines = {path: text.count("\n") for path, text in texts.items()}
    rooms: dict[str, list[int]] = defaultdict(list)
    for path, count in lines.items():
        inner = path.relative_to(package).parts[:-1]
        rooms["/".join(inner) or "(ground)"].append(count)
    largest = sorted(rooms.items(), key=lambda item: -sum(item[1]))[:2]

    return {
        "files / lines": f"{len(texts)} / {sum(lines.values()):,}",
        "lines of a file: median / p90 / max": quantiles(list(lines.values())),
        "largest rooms": "; ".join(f"`{r}` {len(c)} files, {sum(c):,}" for r, c in largest),
    }


def function_figures(functions: list[tuple[Path, Function]]) -> dict[str, str]:
    """Measure the lengths and the parameters of functions."""
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for _, node in functions]
    parameters = []
    for _, node in functions:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        parameters.append(len([a for a in arguments if a.arg not in ("self", "cls")]))

    wide = sum(count >= 6 for count in parameters) / max(1, len(parameters))
    mean = statistics.mean(parameters or [0])
    spread = quantiles(parameters, (0.9, 1.0))
    return {
        "functions: number, median / p90 / max lines": f"{len(functions):,}: {quantiles(lengths)}",
        "parameters: mean / p90 / max; six or more": f"{mean:.1f} / {spread}; {wide:.0%}",
    }


def prose(texts: dict[Path, str], functions: list[tuple[Path, Function]]) -> dict[str, str]:
    """Measure blank lines, comments, long lines and docstrings."""
    blank = body = 0
    for path, node in functions:
        first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
        inside = texts[path].splitlines()[first.lineno - 1 : node.end_lineno]
        body += len(inside)
        blank += sum(not line.strip() for line in inside)

    total = sum(text.count("\n") for text in texts.values())
    comments = sum(count_comments(text) for text in texts.values())
    long = sum(len(line) > 100 for text in texts.values() for line in text.splitlines())

    with_docstring = [(p, n, d) for p, n in functions if (d := ast.get_docstring(n))]
    nouns = [item for item in with_docstring if not is_imperative(item[2]) and not reads(item[1])]
    share = len(nouns) / max(1, len(with_docstring))
    return {
        "blank lines inside function bodies": f"{blank / max(1, body):.1%}",
        "comments per 100 lines": f"{100 * comments / max(1, total):.1f}",
        "lines over 100 characters": f"{long / max(1, total):.1%}",
        "docstrings that are noun phrases": f"{share:.0%}",
        "functions with a docstring": f"{len(with_docstring) / max(1, len(functions)):.0%}",
    }


def count_comments(text: str) -> int:
    """Count comments that speak to a reader, so not those for a linter."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(t.type == tokenize.COMMENT and not t.string.startswith("# noqa") for t in tokens)


def is_imperative(docstring: str) -> bool:
    """Tell whether a docstring begins with a verb in the imperative."""
    words = re.findall(r"[A-Za-z]+", docstring.splitlines()[0])
    return bool(words) and words[0].lower() in IMPERATIVE


def reads(node: Function) -> bool:
    """Tell whether a function is read like an attribute, whose docstring may be a noun phrase."""
    names = {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}
    return bool(names & {"property", "cached_property"})


def density(texts: dict[Path, str], trees: dict[Path, ast.Module]) -> dict[str, str]:
    """Measure comprehensions and conditional expressions."""
    kinds: Counter[str] = Counter()
    for tree in trees.values():
        for node in ast.walk(tree):
            kinds["comprehension"] += isinstance(
                node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
            )
            kinds["conditional"] += isinstance(node, ast.IfExp)
    per_hundred = 100 / max(1, sum(text.count("\n") for text in texts.values()))
    value = " / ".join(f"{kinds[k] * per_hundred:.1f}" for k in ("comprehension", "conditional"))
    return {"comprehensions / conditional expressions per 100 lines": value}


def names(
    texts: dict[Path, str],
    trees: dict[Path, ast.Module],
    functions: list[tuple[Path, Function]],
) -> dict[str, str]:
    """Measure names that several files define, and small helpers that are called once."""
    owners: dict[str, set[Path]] = defaultdict(set)
    for path, tree in trees.items():
        for name in top_level(tree):
            if not name.startswith("_") and name not in PLUG_IN_NAMES and name != "log":
                owners[name].add(path)
    several = [name for name, places in owners.items() if len(places) > 1]

    small = 0
    for path, node in functions:
        private = node.name.startswith("_") and not node.name.startswith("__")
        length = (node.end_lineno or 0) - node.lineno + 1
        once = len(re.findall(rf"\b{node.name}\b", texts[path])) == 2
        small += private and length <= 12 and once

    word = sum(len(re.findall(r"\bfound\b", text)) for text in texts.values())
    return {
        "public names defined in several files": f"{len(several)} {', '.join(sorted(several)[:12])}",
        "private functions called once, 12 lines or less": f"{small} "
        f"({small / max(1, len(functions)):.0%})",
        "the word `found`": str(word),
    }


def top_level(tree: ast.Module) -> list[str]:
    """List the names that a module defines at its top."""
    defined: list[str] = []
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            defined.append(node.name)
        elif isinstance(node, ast.Assign):
            defined += [t.id for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined.append(node.target.id)
    return defined


def outside(root: Path) -> dict[str, str]:
    """Measure what surrounds the library: test names and the README."""
    tests = [
        node.name
        for path in (root / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if is_function(node) and node.name.startswith("test_")
    ]
    readme = (root / "README.md").read_text(encoding="utf-8").splitlines()
    starts = ("import destila", "destila ", "pip install", "make demo")
    first = next((i for i, line in enumerate(readme, 1) if line.startswith(starts)), 0)
    return {
        "test names: median / p90 / longest": quantiles([len(name) for name in tests]),
        "README: lines; line of the first command": f"{len(readme)}; {first}",
    }


if __name__ == "__main__":
    main()
