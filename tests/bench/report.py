# SPDX-License-Identifier: Apache-2.0
"""What a bench found: a table for people, Markdown for the README, JSON with every single value."""

import datetime
import os
import platform
from pathlib import Path

from measure import median

RATIOS = ("limit", "nchan")  # Fanhorn over these


def machine():
    """Where and when it ran."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "memory_kb": int(field("/proc/meminfo", "MemTotal").split()[0]),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
    }


def field(file, name):
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0"


def figure(value):
    """Three digits that count, thousands in groups."""
    if value is None:
        return "-"
    if value >= 1000:
        scale = 10 ** (len(str(int(value))) - 3)
        return f"{round(value / scale) * scale:,}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value, base):
    return f"{value / base:.2f}" if value is not None and base else "-"


def medians_of(runs, programs, index):
    return {name: median(runs, name, index) for name in programs}


def row(title, what, medians):
    """Each program's median, and Fanhorn's ratios."""
    return (title, what, *map(figure, medians.values()),
            *(ratio(medians.get("fanhorn"), medians.get(base)) for base in RATIOS))


def rows(scenario, runs, programs, count=None):
    """One row a measure, of the first `count`."""
    for index, measure in enumerate(scenario.measures[:count]):
        yield row(scenario.name, measure.label(), medians_of(runs, programs, index))


def growth_rows(growths, done, programs):
    """One row for each scenario that a measure is followed to; where both ends of it were run."""
    medians = {(scenario.name, measure): medians_of(runs, programs, index)
               for scenario, runs in done for index, measure in enumerate(scenario.measures)}
    for growth in growths:
        base = medians.get((growth.base, growth.measure))
        for title, other in growth.others:
            there = medians.get((other, growth.measure))
            if base and there:
                yield row(growth.name, title, {name: there[name] and base[name] and there[name] / base[name]
                                               for name in programs})


def header(programs):
    return ("scenario", "measure", *programs, *(f"/ {base}" for base in RATIOS))


def text_table(head, body):
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    lines, previous = [], None
    for row in [head, *body]:
        shown = ["" if row[0] == previous else row[0], *row[1:]]
        previous = row[0]
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(shown, widths))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def markdown_table(head, body):
    lines = ["| " + " | ".join(row) + " |" for row in [head, *body]]
    lines.insert(1, "| --- | --- |" + " --: |" * (len(head) - 2))
    return "\n".join(lines)


def headlines(runs_by_scenario, programs):
    """What of each scenario the README is for, under the scenario's title."""
    for scenario, runs in runs_by_scenario:
        title = scenario.title
        for _, measure, *cells in rows(scenario, runs, programs, scenario.headlines):
            yield (title, measure, *cells)
            title = ""


def provenance(about, versions, rounds):
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    taken = f"medians of {rounds} rounds (fewer in some rows, see tests/bench)" if rounds > 1 else "one round"
    return (f"{about['date']}; {about['cpus']} x {about['cpu']}, {about['memory_kb'] / 1024 / 1024:.0f} GiB, "
            f"Linux {about['kernel']}; server on one CPU, load generator on another, loopback; "
            f"{taken}; {names}.")


def as_json(about, versions, rounds, runs_by_scenario, programs):
    return {
        "machine": about, "versions": versions, "rounds": rounds,
        "medians": [
            {"scenario": scenario.name, "measure": measure.title, "unit": measure.unit,
             **{name: median(runs, name, index) for name in programs}}
            for scenario, runs in runs_by_scenario for index, measure in enumerate(scenario.measures)],
        "runs": [
            {"scenario": scenario.name, "program": run.program, "round": run.round, "faults": run.faults,
             "notes": run.notes,
             "values": {measure.title: value for measure, value in zip(scenario.measures, run.values)},
             "steps": run.steps}
            for scenario, runs in runs_by_scenario for run in runs],
    }
