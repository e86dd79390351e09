"""Drives rknn-toolkit2 for librknnshim.

Run as `python driver.py FD` in an empty scratch folder. The job is one JSON object on standard input; events are JSON
lines on the descriptor FD. Standard output and error belong to the toolkit's chatter. Exit code 0 after a result, 1
after an error event. `python -I driver.py versions` prints one JSON object: the versions of this Python and of what the
toolkit uses; `check` imports the toolkit, too, and tells why it cannot.

Job: toolkit, model, target, inputs [{name, shapes [[...]]}], precision (fp16 | w8a8), algorithm, method,
optimization_level, custom_string; dataset (file of .npy paths, a sample a line) for w8a8; and what to do:
  keep      folder: only take the first of the toolkit's two steps of hybrid quantization, and leave its files there
  step1     folder with those files, from which the second step goes on
  artifact  file to write, in the scratch folder
  float16   [name, ...] tensors that stay in fp16, in names of the optimised graph; with step1
  ranges    {name: [min, max]} what int8 tensors are to cover instead of what calibration saw; with step1
  single_core  true: command buffers for one core alone
  auto_hybrid {cos, euc}  thresholds by which the toolkit itself moves layers to fp16
  simulate  [{dataset, outputs}]: run the samples that each dataset lists (.npy paths, a sample a line) in the toolkit's
            simulator and write the first output of each to outputs, as float32, little endian, one after the other
  analyse   true: accuracy_analysis of the first calibration sample

Events: {"event": "stage", "stage"}, {"event": "progress", "done", "total"} within it, {"event": "result", ...},
{"event": "error", "stage", "message"}.
"""

import ctypes
import importlib.metadata
import json
import os
import platform
import shutil
import sys

# torch and OpenCV are imported by the toolkit and not used for ONNX models: stubs stand for them where they are missing.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [folder for folder in sys.path if folder != HERE] + [os.path.join(HERE, "stub")]

LINE_BUFFERED = 1  # _IOLBF of glibc's stdio.h
FIRST_STEP = ("model.model", "model.data", "model.quantization.cfg")
PACKAGES = ("rknn-toolkit2", "numpy", "onnx", "onnxruntime", "protobuf", "scipy", "setuptools", "torch")

stage = "start"
events = None


def emit(event, **fields):
    events.write(json.dumps({"event": event, **fields}) + "\n")
    events.flush()


def begin(name):
    global stage
    stage = name
    emit("stage", stage=name)


def step(name, call, *arguments, **options):
    """Calls the toolkit; it tells failure by a return code or an exception."""
    begin(name)
    code = call(*arguments, **options)
    if isinstance(code, int) and code != 0:
        raise RuntimeError(f"returned {code}")
    return code


def import_toolkit(version):
    begin("import")
    from rknn.api import RKNN

    found = importlib.metadata.version("rknn-toolkit2")
    if found.split("+")[0] != version:
        raise RuntimeError(f"toolkit {found} is installed and the variant asks for {version}: run the target Provision")
    return RKNN


def read_dataset(path, limit=None):
    """The .npy files of each sample that a dataset file lists, relative to its folder."""
    folder = os.path.dirname(path)
    with open(path, encoding="utf-8") as lines:
        return [[os.path.join(folder, file) for file in line.split()] for line in lines.read().splitlines() if line.strip()][:limit]


def link_dataset(path, limit=None):
    """A dataset file in the scratch folder whose paths are short and free of spaces, by which the toolkit separates them."""
    os.makedirs("samples", exist_ok=True)
    with open("dataset.txt", "w", encoding="utf-8") as dataset:
        for index, sample in enumerate(read_dataset(path, limit)):
            names = []
            for position, file in enumerate(sample):
                name = f"samples/{index:05}_{position}.npy"
                if not os.path.lexists(name):
                    os.symlink(file, name)
                names.append(name)
            dataset.write(" ".join(names) + "\n")
    return "dataset.txt"


def stand_in(job):
    """What the first step holds in the place of the custom string, which only the second step's caller knows: as long as that."""
    length = len(job.get("custom_string") or "")
    return ("custom string of the second step; " * (length // 8 + 1))[:length]


def configuration(job):
    settings = {
        "target_platform": job["target"],
        "optimization_level": job["optimization_level"],
        "custom_string": (stand_in(job) if job.get("keep") else job.get("custom_string")) or None,
    }
    if job["precision"] == "w8a8":
        settings.update(quantized_dtype="w8a8", quantized_algorithm=job["algorithm"], quantized_method=job["method"])
        auto = job.get("auto_hybrid")
        if auto:
            settings.update(auto_hybrid_cos_thresh=auto["cos"])
            if auto.get("euc") is not None:
                settings.update(auto_hybrid_euc_thresh=auto["euc"])
    if job.get("single_core"):
        settings["single_core_mode"] = True
    if len(job["inputs"][0]["shapes"]) > 1:
        settings["dynamic_input"] = [list(shapes) for shapes in zip(*(entry["shapes"] for entry in job["inputs"]))]
    return settings


def load(toolkit, job):
    """Links the model to a fixed name, after which the toolkit names its files."""
    if not os.path.lexists("model.onnx"):
        os.symlink(job["model"], "model.onnx")
    step("config", toolkit.config, **configuration(job))
    shapes = {}  # dynamic_input stands for them
    if len(job["inputs"][0]["shapes"]) == 1:
        shapes = {"inputs": [entry["name"] for entry in job["inputs"]], "input_size_list": [entry["shapes"][0] for entry in job["inputs"]]}
    step("load_onnx", toolkit.load_onnx, model="model.onnx", **shapes)


def optimised_tensors():
    """Keys of quantize_parameters in model.quantization.cfg: the lines that are indented once and end in a colon."""
    names = []
    inside = False
    with open("model.quantization.cfg", encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith(" "):
                inside = line.rstrip() == "quantize_parameters:"
            elif inside and line.startswith("    ") and line[4] not in " -" and line.rstrip().endswith(":"):
                names.append(line.strip()[:-1].strip("'\""))
    return names


def edit_configuration(float16, ranges):
    """Names fp16 tensors and sets ranges in model.quantization.cfg; the toolkit takes min and max and works out scales from them."""
    with open("model.quantization.cfg", encoding="utf-8") as file:
        lines = file.read().split("\n")
    edited, tensor, bound = [], None, None
    for line in lines:
        if line == "custom_quantize_layers: {}" and float16:
            edited += ["custom_quantize_layers:", *(f"    {name}: float16" for name in float16)]
            continue
        if line.startswith("    ") and line[4] not in " -" and line.rstrip().endswith(":"):
            tensor = line.strip()[:-1].strip("'\"")
        if tensor in ranges and line.strip() in ("min:", "max:"):
            bound = 0 if line.strip() == "min:" else 1
        elif bound is not None:
            line = f"        -   {float(ranges[tensor][bound])!r}"
            bound = None
        edited.append(line)
    with open("model.quantization.cfg", "w", encoding="utf-8") as file:
        file.write("\n".join(edited))


def build(create, job):
    """A toolkit object that has built the model."""
    toolkit = create()
    load(toolkit, job)
    if job["precision"] == "fp16":
        step("build", toolkit.build, do_quantization=False)
        return toolkit
    dataset = link_dataset(job["dataset"])
    options = {"auto_hybrid": True} if job.get("auto_hybrid") else {}
    step("build", toolkit.build, do_quantization=True, dataset=dataset, **options)
    return toolkit


def first_step(create, job):
    """Ranges of all tensors, by the calibration samples: the same for every plan. Returns the names of the tensors."""
    if len(job["inputs"][0]["shapes"]) > 1:
        raise RuntimeError("int8 with fp16 tensors or ranges of its own cannot be one file for several shapes: set 'one_file: false'")
    toolkit = create()
    load(toolkit, job)
    step("hybrid_quantization_step1", toolkit.hybrid_quantization_step1, dataset=link_dataset(job["dataset"]), proposal=False)
    toolkit.release()
    for name in FIRST_STEP:
        shutil.copyfile(name, os.path.join(job["keep"], name))
    return optimised_tensors()


def second_step(create, job):
    """A toolkit object that has built the model by a plan, from what the first step left."""
    for name in FIRST_STEP:
        shutil.copyfile(os.path.join(job["step1"], name), name)
    os.symlink(job["model"], "model.onnx")  # both are named in the first step's files
    link_dataset(job["dataset"])
    custom = (job.get("custom_string") or "").encode()
    with open("model.data", "rb") as file:
        data = file.read()
    if data.count(stand_in(job).encode()) < 1:
        raise RuntimeError("the first step's files have no place for the custom string")
    with open("model.data", "wb") as file:
        file.write(data.replace(stand_in(job).encode(), custom) if custom else data)
    edit_configuration(job.get("float16", []), job.get("ranges", {}))
    toolkit = create()  # 2.5.0 takes the second step only in an object that has loaded nothing
    step(
        "hybrid_quantization_step2",
        toolkit.hybrid_quantization_step2,
        model_input="model.model",
        data_input="model.data",
        model_quantization_cfg="model.quantization.cfg",
    )
    return toolkit


def simulate(toolkit, runs):
    import numpy

    step("init_runtime", toolkit.init_runtime)
    for run in runs:
        begin("inference")
        samples = read_dataset(run["dataset"])
        with open(run["outputs"], "wb") as file:
            for done, sample in enumerate(samples, 1):
                outputs = toolkit.inference(inputs=[numpy.load(name) for name in sample])
                if not outputs:
                    raise RuntimeError("returned nothing")
                file.write(outputs[0].astype("<f4").tobytes())
                emit("progress", done=done, total=len(samples))


def analysis(toolkit, sample):
    step("accuracy_analysis", toolkit.accuracy_analysis, inputs=sample, output_dir="analysis")
    with open("analysis/error_analysis.txt", encoding="utf-8") as table:
        return table.read()


def run(job):
    kind = import_toolkit(job["toolkit"])

    def create():
        return kind(verbose=True)

    result = {"toolkit": job["toolkit"]}
    if job.get("keep"):
        return {**result, "tensors": first_step(create, job)}
    toolkit = second_step(create, job) if job.get("step1") else build(create, job)
    step("export_rknn", toolkit.export_rknn, job["artifact"])
    result["artifact"] = job["artifact"]
    if job.get("simulate"):
        simulate(toolkit, job["simulate"])
    if job.get("analyse"):
        result["error_analysis"] = analysis(toolkit, read_dataset(job["dataset"], limit=1)[0])
    return result


def explain(failure):
    """The toolkit's exceptions hold a whole traceback as their text; others need their kind to be understood."""
    text = str(failure)
    if text.startswith("returned ") or "Traceback" in text:
        return text
    return f"{type(failure).__name__}: {text}" if text else type(failure).__name__


def describe(with_import):
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    error = None
    if with_import:
        try:
            from rknn.api import RKNN  # noqa: F401
        except BaseException as failure:
            error = explain(failure)
    print("\n" + json.dumps({"python": platform.python_version(), "packages": versions, "error": error}))
    return 0


def print_by_lines():
    """The compiler prints through C's stdio. Buffered in blocks, as into any pipe, its last lines would be lost with a process that is killed."""
    libc = ctypes.CDLL(None)
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, LINE_BUFFERED, ctypes.c_size_t(0))


def end(code):
    """Ends the process at once, as threads of the toolkit's libraries may still hang, but with all that was printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
    os._exit(code)


def main():
    global events
    if sys.argv[1] in ("versions", "check"):
        return describe(with_import=sys.argv[1] == "check")
    print_by_lines()
    with open(int(sys.argv[1]), "w", encoding="utf-8") as events:
        try:
            result = run(json.load(sys.stdin))
        except BaseException as failure:  # the toolkit also raises SystemExit and its own base exceptions
            emit("error", stage=stage, message=explain(failure))
            return 1
        emit("result", **result)
        return 0


if __name__ == "__main__":
    end(main())
