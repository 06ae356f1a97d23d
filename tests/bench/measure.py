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
SOURCES = 8  # loopback addresses: one has 28,000 ports, and connects slow down at half of them
HEAD_START = 2  # seconds, for the work behind to connect its subscribers
FAULTS = ("lost", "doubled", "disordered", "failed", "closed")


class Run:
    """One scenario by one program in one round."""

    def __init__(self, scenario, program, number, values, steps, faults, notes):
        self.scenario, self.program, self.round = scenario, program, number
        self.values, self.steps, self.faults = values, steps, faults
        self.notes = notes


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


def take_precedence():
    """Over other load generators on the same CPU, as far as this user may."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass


class Bench:
    """A `fanhornctl bench` that was started."""

    def __init__(self, command, prepare):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=prepare)

    def has_ended(self):
        return self.process.poll() is not None

    def result(self, time_limit):
        """The parsed result and what was wrong, a list of words."""
        try:
            out, errors = self.process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            self.process.kill()  # what it forked goes with it
            self.process.communicate()
            return {}, [f"not done within {time_limit} s"]
        code = self.process.returncode
        try:
            result = json.loads(out)
        except json.JSONDecodeError:
            return {}, [f"exit code {code}: {(errors or out).strip()[-400:]}"]
        faults = [f"{result[name]} {name}" for name in FAULTS if result.get(name)]
        if code != 0:
            faults.append(f"exit code {code}: {errors.strip()[-400:]}")
        return result, faults


def run_alone(program, scenario, step):
    prepare = pin(None if scenario.is_spread else CLIENT_CPU)
    return Bench(command_line(program, step), prepare).result(scenario.time_limit)


def run_beside(program, scenario, step):
    """The step while other work goes on, on channels of its own: each fanhornctl names its own."""
    behind = Bench(command_line(program, scenario.behind), pin(CLIENT_CPU))
    time.sleep(HEAD_START)
    result, faults = Bench(command_line(program, step), take_precedence).result(scenario.time_limit)
    if behind.has_ended():
        faults.append("the work behind ended early")
    result["behind"], faults_behind = behind.result(scenario.time_limit)
    return result, faults + [f"{fault} behind it" for fault in faults_behind]


def run_step(kind, scenario, step):
    with kind(scenario.options.get(kind.name), scenario.is_spread) as program:
        result, faults = (run_beside if scenario.behind else run_alone)(program, scenario, step)
        if faults and (log := program.log().strip()):
            faults.append(f"its log ends: {log[-400:]}")
        return result, faults


def run_once(kind, scenario, number, quick):
    steps, faults, notes = [], [], []
    for step in scenario.steps:
        step = {**step, **scenario.differs.get(kind.name, {})}
        if quick:
            step = {**step, **{name: value for name, value in scenario.quick.items() if name in step}}
        if scenario.fit:
            step, reason = scenario.fit(step)
            notes += reason
        try:
            result, wrong = run_step(kind, scenario, step)
        except Failed as error:
            result, wrong = {}, [str(error)]
        steps.append({"options": step, "result": result})
        faults += wrong
    results = [step["result"] for step in steps]
    values = [measure.value(results) if all(results) else None for measure in scenario.measures]
    return Run(scenario, kind.name, number, values, steps, faults, notes)


def run_scenario(scenario, kinds, rounds, quick, progress=sys.stderr):
    """All runs of it. Each round begins with the next program."""
    runs = []
    for number in range(scenario.rounds and min(rounds, scenario.rounds) or rounds):
        turn = number % len(kinds)
        for kind in kinds[turn:] + kinds[:turn]:
            run = run_once(kind, scenario, number, quick)
            runs.append(run)
            for words in run.faults + run.notes:
                print(f"*** {scenario.name}, {kind.name}: {words} ***", file=progress, flush=True)
    return runs


def median(runs, program, index):
    """Of one measure over a program's rounds, or None."""
    values = [run.values[index] for run in runs if run.program == program and run.values[index] is not None]
    return statistics.median(values) if values else None
