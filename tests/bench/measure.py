# SPDX-License-Identifier: Apache-2.0
"""Does a scenario's work: the programs take turns, round by round, so that what else the machine
does meets all of them alike."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from program import CLIENT_CPU, ROOT, Failed, pin
from programs import Fanhorn

FANHORNCTL = Path(os.environ.get("FANHORNCTL", Fanhorn.binary.parent / "fanhornctl")).absolute()
TIME_LIMIT = 60  # seconds, for one step
SOURCES = 8  # loopback addresses: one has 28,000 ports, and connects slow down at half of them
HEAD_START = 2  # seconds, for the work behind to connect its subscribers
FAULTS = ("lost", "doubled", "disordered", "failed", "closed")


class Run:
    """One scenario by one program in one round."""

    def __init__(self, scenario, program, number, values, steps, faults):
        self.scenario, self.program, self.round = scenario, program, number
        self.values, self.steps, self.faults = values, steps, faults


def command_line(program, step):
    """fanhornctl's arguments."""
    step = {"publish-format": min(program.publish_formats, key=("raw", "json-items", "ndjson").index),
            "sources": SOURCES, "connect-rate": program.max_connects, **step}
    transport = step.pop("transport", "websocket")
    options = {"subscribe-url": program.subscribe_url(transport),
               "publish-url": program.publish_url(step["publish-format"]),
               "transport": program.transports[transport], **step,
               "pid": ",".join(map(str, program.pids()))}
    return [str(FANHORNCTL), "bench", "--json",
            *(str(word) for name, value in options.items() for word in (f"--{name}", value))]


def bench(command):
    """The parsed result and what was wrong, a list of words."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=TIME_LIMIT, preexec_fn=pin(CLIENT_CPU))
    except subprocess.TimeoutExpired:
        return {}, [f"not done within {TIME_LIMIT} s"]
    try:
        result = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {}, [f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}"]
    faults = [f"{result[name]} {name}" for name in FAULTS if result.get(name)]
    if done.returncode != 0 and not faults:
        faults = [f"exit code {done.returncode}: {done.stderr.strip()[-400:]}"]
    return result, faults


class Behind:
    """Other work on the same program, on channels of its own (each fanhornctl names its own), for as
    long as the `with` lasts; it is not checked."""

    def __init__(self, program, step):
        self.command = step and command_line(program, step)

    def __enter__(self):
        if self.command:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL, preexec_fn=pin(CLIENT_CPU))
            time.sleep(HEAD_START)
        return self

    def __exit__(self, *_):
        if self.command:
            self.ended_early = self.process.poll() is not None
            self.process.terminate()
            self.process.wait()


def run_step(kind, scenario, step):
    with kind(scenario.options.get(kind.name)) as program:
        with Behind(program, scenario.behind) as behind:
            result, faults = bench(command_line(program, step))
        if scenario.behind and behind.ended_early:
            faults.append("the work behind ended early")
    return result, faults


def run_once(kind, scenario, number, quick):
    steps, faults = [], []
    for step in scenario.steps:
        step = {**step, **scenario.differs.get(kind.name, {})}
        if quick:
            step = {**step, **{name: value for name, value in scenario.quick.items() if name in step}}
        try:
            result, wrong = run_step(kind, scenario, step)
        except Failed as error:
            result, wrong = {}, [str(error)]
        steps.append({"options": step, "result": result})
        faults += wrong
    results = [step["result"] for step in steps]
    values = [measure.value(results) if all(results) else None for measure in scenario.measures]
    return Run(scenario, kind.name, number, values, steps, faults)


def run_scenario(scenario, kinds, rounds, quick, progress=sys.stderr):
    """All runs of it. Each round begins with the next program."""
    runs = []
    for number in range(scenario.rounds and min(rounds, scenario.rounds) or rounds):
        turn = number % len(kinds)
        for kind in kinds[turn:] + kinds[:turn]:
            run = run_once(kind, scenario, number, quick)
            runs.append(run)
            for fault in run.faults:
                print(f"*** {scenario.name}, {kind.name}: {fault} ***", file=progress, flush=True)
    return runs


def median(runs, program, index):
    """Of one measure over a program's rounds, or None."""
    values = [run.values[index] for run in runs if run.program == program and run.values[index] is not None]
    return statistics.median(values) if values else None
