#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py: Fanhorn, its peers and the kernel's limit on the same work, in turns. See README.md."""

import argparse
import json
import sys
import time
from pathlib import Path

import measure
import plot
import programs
import report
import scenarios
from program import Unavailable

OURS = (programs.Fanhorn.name, programs.Limit.name)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="turns of each program (3; 1 with --quick)")
    parser.add_argument("--only", action="append", metavar="NAME", help="scenarios whose name begins so; repeatable")
    parser.add_argument("--programs", metavar="A,B", help="of " + ", ".join(programs.ALL))
    parser.add_argument("--quick", action="store_true", help="less work, one round: does it all still run?")
    parser.add_argument("--long", action="store_true", help="with what takes very long")
    parser.add_argument("--list", action="store_true", help="print the scenarios and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every single value")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the headlines")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="the plot")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="a setting of Fanhorn's [server], as io_uring=off; repeatable")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="bench.json, bench.md and bench.svg there")
    options = parser.parse_args()
    programs.Fanhorn.settings = dict(pair.split("=", 1) for pair in options.set)
    if options.record:
        options.json, options.markdown, options.svg = (options.record / f"bench.{kind}" for kind in ("json", "md", "svg"))
    options.rounds = options.rounds or (1 if options.quick else 3)
    return parser, options


def chosen_scenarios(parser, options):
    only = tuple(options.only or [""])
    chosen = [row for row in scenarios.SCENARIOS
              if row.name in only or (row.name.startswith(only) and (options.long or not row.long))]
    return chosen or parser.error("no such scenario; see --list")


def chosen_programs(parser, options):
    names = options.programs.split(",") if options.programs else list(programs.ALL)
    unknown = set(names) - set(programs.ALL)
    return parser.error(f"unknown: {', '.join(unknown)}") if unknown else names


def available(parser, names):
    """The programs that are here, with their versions; peers that are not are named loudly."""
    versions = {}
    for name in names:
        try:
            versions[name] = programs.ALL[name]().version()
        except Unavailable as why:
            if name in OURS:
                parser.error(f"{why}; `make bench` builds what it needs")
            print(f"*** {name} is LEFT OUT: {why} ***", file=sys.stderr)
    if not measure.FANHORNCTL.exists():
        parser.error(f"{measure.FANHORNCTL} is not built")
    return versions


def run_all(chosen, names, options):
    for scenario in chosen:
        kinds = [programs.ALL[name] for name in scenario.programs if name in names]
        if not kinds:
            continue
        start = time.monotonic()
        print(f"{scenario.name}: {scenario.title} ...", file=sys.stderr, end=" ", flush=True)
        runs = measure.run_scenario(scenario, kinds, options.rounds, options.quick)
        print(f"{time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        yield scenario, runs


def write(file, text):
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")


def main():
    parser, options = arguments()
    chosen = chosen_scenarios(parser, options)
    if options.list:
        for scenario in chosen:
            print(f"{scenario.name:20} {scenario.title} ({', '.join(scenario.programs)})")
        return 0
    about, versions = report.machine(), available(parser, chosen_programs(parser, options))
    names = list(versions)
    done = list(run_all(chosen, names, options))
    table = [row for scenario, runs in done for row in report.rows(scenario, runs, names)]
    table += report.growth_rows(scenarios.GROWTHS, done, names)
    headlines = list(report.headlines(done, names))
    provenance = report.provenance(about, versions, options.rounds)

    print(report.text_table(report.header(names), table))
    print(f"\n{provenance}")
    write(options.markdown, report.markdown_table(report.header(names), headlines) + f"\n\n{provenance}")
    write(options.json, json.dumps(report.as_json(about, versions, options.rounds, done, names), indent=1))
    write(options.svg, plot.draw(done, names, provenance))

    # A peer's losses are its own, and were said; ours, and those of our own limit, fail the run.
    faulty = [run for _, runs in done for run in runs if run.faults and run.program in OURS]
    return 1 if faulty or not done else 0


if __name__ == "__main__":
    sys.exit(main())
