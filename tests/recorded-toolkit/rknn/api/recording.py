"""Where the recordings lie, and how the toolkit speaks."""

import json
import os
import re
import sys

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "ModelPipeline.Tests", "Fixtures", "rknn")
RED = "\x1b[1;31m"
OFF = "\x1b[0m"


def content(name):
    with open(os.path.join(FIXTURES, name), "rb") as file:
        return file.read()


def text(name):
    return content(name).decode("utf-8")


def tensors():
    return re.findall(r"^    (\S+):$", text("tiny-int8.quantization.cfg"), re.MULTILINE)


def note(call, **arguments):
    """Keeps what was asked in the scratch folder, for tests that keep that."""
    with open("calls.jsonl", "a", encoding="utf-8") as calls:
        calls.write(json.dumps({"call": call, **arguments}, sort_keys=True) + "\n")


def bar(name, done, total):
    sys.stderr.write(f"\rI {name} : {100 * done // total:3}%|{'█' * (done * 40 // total):40}| {done}/{total} [00:00<00:00, 13.3it/s]")
    sys.stderr.flush()


def error(call, sentence):
    sys.stderr.write(f"{RED}E{OFF} {RED}{call}: {sentence}{OFF}\n")
    sys.stderr.flush()


def refuse(call, sentence):
    """The first way of failing: a code, and the reason in the log."""
    error(call, sentence)
    return -1


def fail(call, sentence, kind="ValueError"):
    """The second way: an exception whose text is a traceback."""
    traceback = (
        "Traceback (most recent call last):\n"
        '  File "rknn/api/rknn_log.py", line 344, in rknn.api.rknn_log.error_catch_decorator.error_catch_wrapper\n'
        f'  File "rknn/api/rknn_base.py", line 896, in rknn.api.rknn_base.RKNNBase.{call}\n'
        f"{kind}: {sentence}\n"
    )
    error(call, sentence)
    error(call, traceback)
    raise ValueError(traceback)


def replay(fault, call):
    """A failure as it was recorded, if it was in this call."""
    if not fault.startswith("replay:"):
        return
    section = re.search(rf"^===== {fault[7:]}\n(.*?)(?=^===== |\Z)", text("failures.log"), re.MULTILINE | re.DOTALL).group(1)
    log = section.split("\nEXC ")[0]
    raised = re.search(rf"{call}: (Traceback .*?)\x1b\[0m", log, re.DOTALL)
    if raised:
        sys.stderr.write(log)
        sys.stderr.flush()
        raise ValueError(raised.group(1))


def chatter(log, part):
    """Prints the recorded log of a call: bars, errors and warnings on one stream, the rest on the other."""
    lines = log.splitlines(keepends=True)
    split = next(index for index, line in enumerate(lines) if line.startswith("D base_optimize"))
    for line in lines[1:split] if part == "load" else lines[split:]:
        stream = sys.stderr if "\r" in line or "\x1b" in line or line[:1] in "EW" else sys.stdout
        other = sys.stdout if stream is sys.stderr else sys.stderr
        other.flush()
        stream.write(line)
    sys.stdout.flush()
    sys.stderr.flush()
