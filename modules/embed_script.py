#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed_script.py TARGET SCRIPT...: the parts of the Redis script, in their order, without their comments, as the C++
source that broker_redis_script.h declares."""
import re
import sys
from pathlib import Path


def main():
    target, *scripts = map(Path, sys.argv[1:])
    source = "".join(script.read_text(encoding="utf-8") for script in scripts)
    lines = (re.sub(r"^\s*--.*|\s+-- .*$", "", line).strip() for line in source.splitlines())
    content = "\n".join(line for line in lines if line) + "\n"
    numbers = ",".join(map(str, content.encode()))
    text = f"""#include "modules/broker_redis_script.h"

namespace fanhorn {{

std::string_view redis_script() {{
    static const unsigned char kScript[] = {{{numbers}}};
    return {{reinterpret_cast<const char*>(kScript), sizeof kScript}};
}}

}} // namespace fanhorn
"""
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
