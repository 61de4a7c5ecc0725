"""Splunk's search language: which searches only read, and how a value is quoted.

The rule: a search is a read if each of its commands is known to read. Splunk's search language can delete events, write
lookups and indexes, send mail and run scripts, so what is not known counts as a change, however the search is read:
where two readings of quotes or comments are possible, both are looked at.
Sources: https://help.splunk.com/en/splunk-enterprise/spl-search-reference (commands), and "Commands that trigger SPL
safeguards" in its security manual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from hikeshi.connector import Invalid

__all__ = ["quoted", "refusal_of", "whole_search"]

_READING: Final = frozenset(
    {
        "abstract", "accum", "addcoltotals", "addinfo", "addtotals", "anomalies", "anomalousvalue", "anomalydetection",
        "append", "appendcols", "appendpipe", "arules", "associate", "autoregress", "bin", "bucket", "chart", "cluster",
        "cofilter", "concurrency", "contingency", "convert", "correlate", "datamodel", "dbinspect", "dedup", "delta",
        "diff", "eval", "eventcount", "eventstats", "extract", "fieldformat", "fields", "fieldsummary", "filldown",
        "fillnull", "findtypes", "foreach", "format", "fromjson", "gauge", "gentimes", "geom", "geostats", "head",
        "highlight", "inputcsv", "inputlookup", "iplocation", "join", "kmeans", "kv", "loadjob", "localize", "lookup",
        "makecontinuous", "makemv", "makeresults", "mcatalog", "metadata", "metasearch", "mstats", "multikv",
        "multisearch", "mvcombine", "mvexpand", "nomv", "outlier", "predict", "rangemap", "rare", "regex", "reltime",
        "rename", "replace", "return", "reverse", "rex", "search", "set", "setfields", "sort", "spath", "stats",
        "strcat", "streamstats", "table", "tags", "tail", "timechart", "timewrap", "tojson", "top", "transaction",
        "transpose", "trendline", "tstats", "typer", "union", "uniq", "untable", "walklex", "where", "x11", "xmlkv",
        "xmlunescape", "xpath", "xyseries",
    }
)  # fmt: skip
# Looked for wherever a pipe or bracket stands, inside of quotes too: no reading of quotes may let one of them through.
_CHANGING: Final = frozenset(
    {
        "ai", "aiagent", "collect", "crawl", "dbxoutput", "dbxquery", "delete", "deletemodel", "dump", "fit", "input",
        "map", "mcollect", "meventcollect", "outputcsv", "outputlookup", "outputtext", "run", "runshellscript",
        "savedsearch", "script", "sendalert", "sendemail", "stash", "summarize", "tscollect",
    }
)  # fmt: skip
_WORD: Final = re.compile(r"[\s|]*([A-Za-z_][\w.-]*)?")
# With macros and comments between, for a macro may stand for nothing.
_ANYWHERE: Final = re.compile(r"[|\[](?:[\s|]|`[^`]*`)*([A-Za-z_][\w.-]*)")


def whole_search(query: str) -> str:
    """Return a search with the command `search` that is meant where it begins with neither a pipe nor that."""
    asked = query.strip()
    return asked if re.match(r"\||search(?![\w=])", asked, re.IGNORECASE) else f"search {asked}"


def refusal_of(query: str, commands: Iterable[str] = (), macros: Iterable[str] = ()) -> str | None:
    """Return why a search is not known to only read, or None if it is.

    `commands` and `macros` are further ones that an administrator knows to only read.
    """
    known = _READING | {each.lower() for each in commands} - _CHANGING
    if '\\\\"' in query:
        return "backslashes before a quotation mark can be read in two ways"
    if (macro := _foreign_macro(query, frozenset(macros))) is not None:
        return f"the macro {macro!r} may do anything; name it in 'macros' if it only reads"
    if found := [name for name in _ANYWHERE.findall(query) if name.lower() in _CHANGING]:
        return f"the command {found[0]!r} may change something"
    try:
        texts = (query, _without_comments(query))
        names = [name for text in texts for single in (False, True) for name in _commands(text, single_quotes=single)]
    except ValueError as exc:
        return str(exc)
    unknown = [name for name in names if name.lower() not in known]
    return (
        f"the command {unknown[0]!r} is not known to only read; name it in 'commands' if it does" if unknown else None
    )


def quoted(value: str) -> str:
    """Return a value as a phrase in quotation marks. Raises Invalid for one that would mean more than itself."""
    if not value.strip() or not value.isprintable():
        raise Invalid(f"{value[:80]!r} cannot be searched for: it is empty or has control characters")
    if found := sorted(set("*`") & set(value)):
        raise Invalid(f"{value[:80]!r} cannot be searched for: {found[0]} has a meaning of its own, even in quotes")
    if value.endswith("\\") or '\\"' in value:
        raise Invalid(f"{value[:80]!r} cannot be searched for: a backslash before a quotation mark is ambiguous")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _foreign_macro(query: str, known: frozenset[str]) -> str | None:
    """Return a macro of the search that is not known. Comments, in three backticks, go before macros do."""
    parts = _without_comments(query).split("`")
    if len(parts) % 2 == 0:
        return parts[-1][:40]
    return next((each[:40] for each in parts[1::2] if each.partition("(")[0].strip() not in known), None)


def _without_comments(query: str) -> str:
    return re.sub(r"```.*?```", " ", query, flags=re.DOTALL)


def _commands(text: str, *, single_quotes: bool) -> Iterator[str]:
    """Yield the names of all commands, those of subsearches among them.

    Raises ValueError where there is none, or where a quote is not closed.
    """
    position = 0
    while position < len(text):
        here = text[position]
        if position == 0 or here in "|[":
            found = _WORD.match(text, position + (position != 0 or here in "|["))
            assert found is not None
            if found[1]:
                yield found[1]
            elif text[found.end() : found.end() + 1] != "`":  # macros are looked at for themselves
                raise ValueError("a pipe or bracket is not followed by a command")
            position = max(found.end(), position + 1)
        elif here == '"' or (here == "'" and single_quotes and "'" in text[position + 1 :]):
            position = _after_quote(text, position)
        elif here == "\\" and text[position + 1 : position + 2] in tuple("\"'|["):
            raise ValueError("a backslash before a quotation mark, a pipe or a bracket can be read in two ways")
        else:
            position += 1


def _after_quote(text: str, start: int) -> int:
    position = start + 1
    while position < len(text):
        if text[position] == text[start]:
            return position + 1
        position += 2 if text[position] == "\\" else 1
    raise ValueError("a quotation mark is not closed")
