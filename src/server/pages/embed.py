#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py TARGET NAME=FILE...: files as the C++ source that src/server/pages.h declares, each as it
is and gzipped, with an ETag of its content. Byte for byte the same for the same files."""
import gzip
import hashlib
import sys
from pathlib import Path

TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
         "mjs": "text/javascript; charset=utf-8"}


def array(name, content):
    numbers = ",".join(map(str, content))
    return f"static const unsigned char {name}[] = {{{numbers}}};\n"


def row(index, name, content):
    tag = hashlib.sha256(content).hexdigest()[:16]
    return (f'    {{"{name}", "{TYPES[name.rsplit(".", 1)[1]]}", "\\"{tag}\\"", "\\"{tag}-gz\\"", text(kPlain{index}), '
            f"text(kGzip{index})}},\n")


def main():
    target, *pairs = sys.argv[1:]
    arrays, rows = "", ""
    for index, pair in enumerate(pairs):
        name, path = pair.split("=", 1)
        with open(path, "rb") as source:
            content = source.read()
        arrays += array(f"kPlain{index}", content) + array(f"kGzip{index}", gzip.compress(content, 9, mtime=0))
        rows += row(index, name, content)
    text = f"""#include "server/pages.h"

namespace fanhorn {{

{arrays}
template <size_t kSize> static std::string_view text(const unsigned char (&bytes)[kSize]) {{
    return {{reinterpret_cast<const char*>(bytes), kSize}};
}}

const WebPage* find_web_page(std::string_view name) {{
    static const WebPage kPages[] = {{
{rows}    }};
    for (const WebPage& page : kPages)
        if (page.name == name)
            return &page;
    return nullptr;
}}

}} // namespace fanhorn
"""
    out = Path(target)
    if not out.exists() or out.read_text(encoding="utf-8") != text:  # or all that needs it were made anew
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
