# SPDX-License-Identifier: Apache-2.0
"""The data members of C++ classes, read from the source as this house writes it: no macros, one class a name."""

import re

CLASS = re.compile(r"(?:class|struct)\s+([\w:]+)(?:\s+final)?(?:\s*:[^{;]*)?\s*\{")
LABEL = re.compile(r"\s*(?:public|private|protected)\s*:(?!:)")
NO_MEMBER = re.compile(r"(?:using|friend|static|typedef|enum|template|static_assert|class|struct)\b|.*\boperator\b", re.S)


def without_comments(text):
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|//[^\n]*|/\*.*?\*/',
                  lambda found: " " if found[0].startswith("/") else '""', text, flags=re.S)


def end_of_block(text, begin):
    """Behind the brace that closes the one at `begin`."""
    depth = 0
    for at in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise ValueError("a brace is not closed")


def without_arguments(text):
    """Of templates, whose parentheses are not a function's."""
    while (shorter := re.sub(r"(?<=\w)<[^<>]*>", "", text)) != text:
        text = shorter
    return text


def is_function(declaration):
    return "(" in re.split(r"=|\{", without_arguments(declaration.replace("->", "")), maxsplit=1)[0]


def names(declaration):
    """Of the members that one declaration makes: `uint32_t begin = 0, end = 0` makes two."""
    declaration = re.sub(r"\[\[.*?\]\]", "", declaration).strip()
    if not declaration or NO_MEMBER.match(declaration) or is_function(declaration):
        return
    plain = without_arguments(declaration)
    while (shorter := re.sub(r"\{[^{}]*\}|\([^()]*\)", "", plain)) != plain:
        plain = shorter
    for part in plain.split(","):
        found = re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*$", part.split("=", 1)[0])
        if found:
            yield found[1]


def members(body):
    """The names in a class's body, and those of classes in it as (name, body)."""
    found, nested, at, begin = [], [], 0, 0
    while at < len(body):
        begin = label.end() if (label := LABEL.match(body, begin)) else begin
        at = max(at, begin)
        if at >= len(body):
            break
        declaration = body[begin:at]
        if body[at] == ";":
            found += names(declaration)
            begin = at = at + 1
        elif body[at] == "{":
            inner, end = CLASS.match(body, begin + len(declaration) - len(declaration.lstrip())), end_of_block(body, at)
            if inner and inner.end() == at + 1:
                nested.append((inner[1], body[at + 1:end - 1]))
            elif not declaration.strip() or is_function(declaration):
                begin = end
            at = end
        else:
            at += 1
    return found, nested


def classes(text):
    """{name: its members} of all classes in a file's text; a class in another is Outer::Inner."""
    found, text, at = {}, without_comments(text), 0

    def add(name, body):
        found[name], nested = members(body)
        for inner, inside in nested:
            add(f"{name}::{inner}", inside)

    while head := CLASS.search(text, at):
        at = end_of_block(text, head.end() - 1)
        add(head[1], text[head.end():at - 1])
    return found
