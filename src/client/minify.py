#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""minify.py SOURCE MODULE CLASSIC: the module that the daemon serves, and the same as a classic
script that sets the global Fanhorn.
minify.py --search SOURCE: looks for half a minute for members' names that compress better, and writes
names.json.

Comments and blanks go; members that begin with '_' and all names of variables get short ones, the
members those of names.json. It asks for this: every statement ends with ';' or '}', a
variable never has the name of one at the top of the file, globals are those in GLOBALS, and an
object is never a method's default. The tests run what comes out.
"""
import itertools
import json
import pathlib
import random
import re
import sys
import zlib

TOKEN = re.compile(r"""
    (?P<blank>\s+|//[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<template>`)
  | (?P<number>\d[\d_.]*(?:e\d+)?)
  | (?P<name>[A-Za-z_$][\w$]*)
  | (?P<mark>=>|\.\.\.|\?\?=|\|\|=|&&=|===|!==|\*\*|\+\+|--|\?\.|\?\?|<=|>=|&&|\|\||[-+*/%]=|.)
""", re.X)
REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*")
PIECE = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(`|\$\{)", re.S)
WORDS = set("""as async await break case catch class const continue default delete do else export
    extends false finally for function get if import in instanceof let new null of return set static
    super switch this throw true try typeof undefined void while yield""".split())
KEPT = {"Fanhorn", "applyPatch"}
GLOBALS = set("""AbortController AbortSignal Array ArrayBuffer BroadcastChannel Date Error Event
    EventTarget Infinity JSON Map Math NaN Object Promise RegExp Set String TextDecoder URL
    URLSearchParams Uint8Array WebSocket atob clearInterval clearTimeout console constructor crypto
    encodeURIComponent fetch globalThis isNaN navigator setInterval setTimeout structuredClone
    """.split())


def tokens(text):
    """[kind, text] of all but blanks; what a template holds between its braces are tokens too."""
    found, at, braces = [], 0, []
    while at < len(text):
        last = found[-1][1] if found else ";"
        if text[at] == "/" and text[at + 1] != "/" and (last in "(,=:[!&|?{};+~" or last in ("=>", "&&", "||", "return")):
            match, kind = REGEX.match(text, at), "regex"
        elif text[at] == "}" and braces and braces[-1] == 0:
            braces.pop()
            match, kind = PIECE.match(text, at + 1), "template"
            found.append(["template", "}" + match.group()])
            at = match.end()
            if match.group(1) == "${":
                braces.append(0)
            continue
        else:
            match = TOKEN.match(text, at)
            kind = match.lastgroup
        at = match.end()
        if kind == "template":
            match = PIECE.match(text, at)
            found.append([kind, "`" + match.group()])
            at = match.end()
            if match.group(1) == "${":
                braces.append(0)
        elif kind != "blank":
            if braces and match.group() in "{}":
                braces[-1] += 1 if match.group() == "{" else -1
            found.append([kind, match.group()])
    return found


def roles(found):
    """Of each token: None, 'member', 'shorthand' or 'variable'; its depth; whether a unit begins."""
    result, stack = [], []
    for index, (kind, text) in enumerate(found):
        last = found[index - 1][1] if index else ";"
        following = found[index + 1][1] if index + 1 < len(found) else ""
        inside = stack[-1] if stack else ""
        begins = inside in ("", "class") and last in (";", "}", "{") and not (inside == "" and len(stack))
        role = None
        if kind == "name" and (last in (".", "?.") or
                               inside == "class" and following == "(" or
                               inside == "object" and last in ("{", ",") and following == ":"):
            role = "member"
        elif kind == "name" and text not in WORDS:
            is_short = inside == "object" and last in ("{", ",") and following in (",", "}", "=")
            role = "shorthand" if is_short else "variable"
        if inside == "class" and kind == "name" and following in ("(", "=") and last in (";", "}", "{", "get", "async"):
            role = "member"
        if inside == "class" and text in ("get", "async") and following not in ("(",):
            role = None
        result.append((role, begins))
        if text in ("{", "${") or kind == "template" and text.endswith("${"):
            if kind == "template":
                stack.append("template") if text[0] == "`" else None
            elif last == ")" or last in ("=>", "else", "try", "finally", "do", ";", "{", "}"):
                stack.append("block")
            elif any(each[1] == "class" for each in found[max(0, index - 4):index]) and last not in ("(", ","):
                stack.append("class")
            else:
                stack.append("object")
        elif kind == "template" and text[0] == "}" and stack:
            stack.pop()
        elif text in ("(", "["):
            stack.append(text)
        elif text in ("}", ")", "]"):
            stack.pop()
    return result


NAMES = pathlib.Path(__file__).with_name("names.json")
TRIES = 100000  # of other names for members
LETTERS = "etnsroiadlcuphmfgwyvbkxjqz"  # what is often there costs less


def short_names(taken, letters=LETTERS + LETTERS.upper()):
    for size in (1, 2):
        for each in itertools.product(letters, repeat=size):
            name = "".join(each)
            if name not in taken and name not in WORDS:
                yield name


def by_count(names):
    return sorted(set(names), key=lambda name: (-names.count(name), name))


def joined(found):
    """Statements with const that follow each other become one."""
    result, depth, open_at = [], 0, {}
    for index, (kind, text) in enumerate(found):
        last = found[index - 1][1] if index else ";"
        if kind == "mark" and text in "{([":
            depth += 1
            open_at[depth] = False
        elif kind == "mark" and text in "})]":
            depth -= 1
        elif text == "const" and last in (";", "{", "}"):
            if last == ";" and open_at.get(depth):
                result[-1] = [kind, ","]
                text = ""
            open_at[depth] = True
        elif last in (";", "}") and open_at.get(depth) and text != ";":
            open_at[depth] = False
        result.append([kind, text])
    return result


def bare(found):
    """Blocks of one plain statement without their braces, and `new Map()` without its brackets."""
    result, opens, heads, dropped = [list(each) for each in found], [], [], set()
    for index, (kind, text) in enumerate(found):
        last = found[index - 1][1] if index else ";"
        if kind == "mark" and text in "([{":
            opens.append((index, last))
        elif kind == "mark" and text in ")]}" and opens:
            start, before = opens.pop()
            if text == ")":
                heads.append((index, before))
            inner = found[start + 1:index]
            after_head = before == "else" or before == ")" and heads and any(
                at == start - 1 and word in ("if", "for", "while") for at, word in heads)
            if (text == "}" and after_head and [each[1] for each in inner].count(";") == 1 and inner[-1][1] == ";" and
                    not any(each[1] in ("{", "const", "if", "for") and each[0] != "string" for each in inner)):
                dropped |= {start, index}
            if text == ")" and index == start + 1 and start > 1 and found[start - 2][1] == "new" and found[index + 1][1] in ";,":
                dropped |= {start, index}
    return [[kind, "" if index in dropped else text] for index, (kind, text) in enumerate(result)]


def scopes(found):
    """Of each token the scopes around it, outermost first, and the one that it would declare a
    variable in: of blocks, and of brackets that a body follows, which are one scope with it."""
    result, stack, ended = [], [], None
    for index, (kind, text) in enumerate(found):
        last = found[index - 1][1] if index else ";"
        before = found[index - 2][1] if index > 1 else ""
        following = found[index + 1][1] if index + 1 < len(found) else ""
        around = tuple(each for each in stack if each is not None)
        is_parameter = kind == "name" and following == "=>"
        result.append((around, index if is_parameter else around[-1] if around else None))
        if kind == "mark" and text in ")]}" or kind == "template" and text[0] == "}":
            ended = stack.pop() if stack else None
        if kind == "mark" and text == "(":
            stack.append(index)
        elif kind == "mark" and text == "{" and (last == ")" or last == "=>" and before == ")"):
            stack.append(ended)
        elif kind == "mark" and text == "{" and last == "=>":
            stack.append(index - 2)
        elif kind == "mark" and text == "{" and last in ("else", "try", "finally", "do", ";", "{", "}"):
            stack.append(index)
        elif kind == "mark" and text in "{[" or kind == "template" and text.endswith("${"):
            stack.append(None)
    return result


class Variable:
    def __init__(self, index, declares):
        self.first = self.last = index
        self.scope, self.inside = declares, {declares}

    def see(self, index, around):
        self.last = index
        self.inside |= set(around[around.index(self.scope):] if self.scope in around else around)

    def may_share(self, other):
        return ((self.last < other.first or other.last < self.first) and
                self.scope not in other.inside and other.scope not in self.inside)


def local_names(found, known, units, top):
    """For each unit the short name of each of its variables."""
    areas, variables, result = scopes(found), {}, {}
    used = {}
    for index, ((_, token), (role, _), unit) in enumerate(zip(found, known, units)):
        if role not in ("variable", "shorthand") or token in GLOBALS or token in KEPT:
            continue
        if token in top:
            used.setdefault(unit, set()).add(top[token])
            continue
        around, declares = areas[index]
        mine = variables.setdefault(unit, {})
        if token not in mine:
            mine[token] = Variable(index, declares)
        mine[token].see(index, around)
    for unit, mine in variables.items():
        names = {}
        for token, variable in mine.items():
            rivals = {names[each] for each in names if not variable.may_share(mine[each])}
            names[token] = next(name for name in short_names(used.get(unit, set()) | rivals))
        result[unit] = names
    return result


def owners(found, known):
    """Of each private member, the families of classes that have it; None stands for other objects."""
    family, result, depth, inside = {}, {}, 0, None
    for index, ((kind, text), (role, _)) in enumerate(zip(found, known)):
        if depth == 0 and text == "class":
            name, base = found[index + 1][1], found[index + 3][1]
            inside = family[name] = family.get(base, base if found[index + 2][1] == "extends" else name)
        if kind == "mark":
            depth += (text in "{([") - (text in "})]")
            if depth == 0 and text == "}":
                inside = None
        if role not in ("member", "shorthand") or text[0] != "_":
            continue
        before, last = found[index - 2][1], found[index - 1][1]
        result.setdefault(text, set())
        if last == "." and before == "this" or depth == 1 and inside:
            result[text].add(inside)
        elif last in ("{", ",") and found[index + 1][1] == ":":
            result[text].add(None)
    return result


def member_names(found, known, public):
    """Of each private member a short name, the stored one where there is one that is free, and those
    that must not have the same: members that no object has both of may."""
    owned = owners(found, known)
    uses = [text for (kind, text), (role, _) in zip(found, known) if text in owned and role]
    rivals = {text: [each for each in owned if each != text and
                     (owned[each] & owned[text] or not owned[text] or not owned[each])] for text in owned}
    names, stored = {}, json.loads(NAMES.read_text())
    for text in by_count(uses):
        taken = public.union(names.get(each) for each in rivals[text])
        names[text] = next(name for name in itertools.chain([stored.get(text)], short_names(public))
                           if name and name not in taken)
    return names, rivals


def whole(pieces, names):
    """What the pieces give, of which every second one is a member."""
    return "".join(names[each] if index % 2 else each for index, each in enumerate(pieces))


def search(pieces, names, rivals, public):
    """Changes the names to those by which the whole is small."""
    def size():
        return len(zlib.compress(whole(pieces, names).encode(), 9))

    choose = random.Random(1).choice
    letters = [each for each in short_names(public) if len(each) == 1]
    everyone, least = sorted(names), size()
    for _ in range(TRIES):
        text, before = choose(everyone), dict(names)
        mine, other = names[text], choose(letters)
        for each in [text, *rivals[text]]:
            names[each] = {mine: other, other: mine}.get(names[each], names[each])
        changed = [each for each in everyone if names[each] != before[each]]
        is_fit = all(names[each] != names[rival] for each in changed for rival in rivals[each])
        now = size() if is_fit else least + 1
        if now > least:
            names.update(before)
        least = min(least, now)


NUMBER = re.compile(r"^const (\w+) = (\d+); *(?://.*)?\n", re.M)


def minified(text):
    """The module in pieces, of which every second one is a member, and what members may be called."""
    for name, value in NUMBER.findall(text):
        text = re.sub(r"\b%s\b" % name, value, NUMBER.sub(lambda m: "" if m.group(1) == name else m.group(), text))
    found = [[kind, re.sub(r"(0{3,})$", lambda zeros: f"e{len(zeros[1])}", each) if kind == "number" else each]
             for kind, each in tokens(text)]
    known = roles(found)
    public = {text for (kind, text), (role, _) in zip(found, known) if role in ("member", "shorthand") and text[0] != "_"}
    members, rivals = member_names(found, known, public)

    depth, tops = 0, []
    for index, (kind, token) in enumerate(found):
        if depth == 0 and kind == "name" and found[index - 1][1] in ("const", "function", "class", ","):
            tops.append(token)
        depth += (token in "{([" if kind == "mark" else 0) - (token in "})]" if kind == "mark" else 0)
    variables = [token for (kind, token), (role, _) in zip(found, known) if role in ("variable", "shorthand")]
    tops = by_count([each for each in variables if each in tops and each not in KEPT])
    top = dict(zip(tops, short_names(set(), LETTERS.upper() + LETTERS)))

    units = list(itertools.accumulate(int(begins) for _, begins in known))
    local = local_names(found, known, units, top)
    out = []
    for (kind, token), (role, _), unit in zip(bare(joined(found)), known, units):
        if not token:
            continue
        renamed = {"true": "!0", "false": "!1", "undefined": "void 0", "const": "let"}.get(token, token) if kind == "name" and role != "member" else token
        if role in ("variable", "shorthand") and token not in GLOBALS and token not in KEPT:
            renamed = top.get(token) or local[unit][token]
        if role == "member":
            renamed = f"\0{token}\0" if token in members else token
        elif role == "shorthand":
            renamed = f"\0{token}\0:{renamed}" if token in members else token + ("" if renamed == token else ":" + renamed)
        if out and re.match(r"[\w$\0]", renamed) and re.search(r"[\w$\0]$", out[-1]):
            out.append(" ")
        out.append(renamed)
    pieces = re.sub(r";}", "}", re.sub(r",([}\])])", r"\1", "".join(out))).split("\0")
    return pieces, members, rivals, public


def classic(module):
    inner = re.sub(r"export\{.*?\};?$", "", re.sub(r"export (?=class|function)", "", module))
    return "(()=>{" + inner + "globalThis.Fanhorn=Fanhorn})();"


def main(source, *targets):
    pieces, names, rivals, public = minified(pathlib.Path(source).read_text(encoding="utf-8"))
    if not targets:
        search(pieces, names, rivals, public)
        NAMES.write_text(json.dumps(names, indent=0, sort_keys=True) + "\n")
    module = whole(pieces, names)
    for path, text in zip(targets, (module, classic(module))):
        pathlib.Path(path).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(each for each in sys.argv[1:] if each != "--search"))
