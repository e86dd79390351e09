"""rknn-toolkit2 2.3.2 as recorded for the tiny reranker.

RECORDED_TOOLKIT chooses what goes wrong in `build` (or hybrid_quantization_step1):
  replay:NAME  the failure NAME of failures.log, in the call where it was recorded
  slow         half a minute of progress bars
  hang         a child process and this one sleep, deaf to SIGTERM
  oom          killed as the kernel's out-of-memory killer does it
  memory       asks for more memory than its limit allows
  disk         writes to a disk that is full
  garbage      writes onto every descriptor it finds
  flood        never ends a line on every descriptor it finds
  exit         ends the process without a word
  cut          exports the first half of the file
  unended      prints a compile report without its end
or, nothing wrong:
  runnable     exports what the runtime of the tests runs instead of a recorded file
What was not recorded is derived; see derived.py.
"""

import importlib.metadata
import json
import os
import shutil
import signal
import time

from rknn.api import derived, recording

FAULT = os.environ.get("RECORDED_TOOLKIT", "")
PLATFORMS = {"rk3562", "rk3566", "rk3568", "rk3576", "rk3588", "rv1103", "rv1106", "rv1126b", "rk2118"}


class RKNN:
    def __init__(self, verbose=False, verbose_file=None):
        self.verbose = verbose
        self.settings = {}
        self.model = None
        self.built = None
        self.runs = 0
        self.version = importlib.metadata.version("rknn-toolkit2")
        print(f"I rknn-toolkit2 version: {self.version}", flush=True)

    def config(self, target_platform=None, optimization_level=3, custom_string=None, **settings):
        recording.note("config", target_platform=target_platform, optimization_level=optimization_level, custom_string=custom_string, **settings)
        recording.replay(FAULT, "config")
        if target_platform not in PLATFORMS:
            recording.fail("config", f"Invalid target_platform '{target_platform}'!")
        if optimization_level not in (0, 1, 2, 3):
            recording.fail("config", f"Invalid optimization_level {optimization_level}!")
        if settings.get("quantized_algorithm", "normal") not in ("normal", "kl_divergence", "mmse", "gdq"):
            recording.fail("config", f"Invalid quantized_algorithm '{settings['quantized_algorithm']}'!")
        self.settings = {**settings, "target_platform": target_platform, "custom_string": custom_string}
        return 0

    def load_onnx(self, model, inputs=None, input_size_list=None, input_initial_val=None, outputs=None):
        recording.note("load_onnx", inputs=inputs, input_size_list=input_size_list)
        recording.replay(FAULT, "load_onnx")
        if not os.path.exists(model):
            recording.fail("load_onnx", f"Model file {model} not exists!")
        with open(model, "rb") as file:
            if file.read(1) != b"\x08":  # every exporter writes the IR version first
                recording.fail("load_onnx", "Error parsing message", "google.protobuf.message.DecodeError")
        if (inputs is None or input_size_list is None) and "dynamic_input" not in self.settings:
            recording.fail("load_onnx", "The input shape ['batch_size', 'sequence_length'] of 'input_ids' is not support!")
        self.model = model
        with open(model, "rb") as file:
            self.content = file.read()
        self.shapes = self.settings.get("dynamic_input") or [input_size_list]
        self.sides = derived.tensors(self.content, self.shapes[-1])
        recording.chatter(self._log(), "load")
        return 0

    def build(self, do_quantization=True, dataset=None, rknn_batch_size=None, auto_hybrid=False):
        recording.note("build", do_quantization=do_quantization, auto_hybrid=auto_hybrid)
        recording.replay(FAULT, "build")
        if do_quantization and not self._dataset_is_there(dataset):
            return recording.refuse("build", f"Dataset file {dataset} not found!")
        self._refuse_quantized_source()
        if "dynamic_input" in self.settings and self.version == "2.3.2":
            recording.error("build", "UnboundLocalError: local variable 'matmul_1' referenced before assignment")
            recording.fail("build", "list index out of range", "IndexError")
        self._drop_checks()
        self._go_wrong()
        self.built = "tiny-int8.rknn" if do_quantization else "tiny-fp16.rknn"
        recording.chatter(self._log(), "build")
        return 0

    def hybrid_quantization_step1(self, dataset=None, rknn_batch_size=None, proposal=False, proposal_dataset_size=1, custom_hybrid=None):
        if not self._dataset_is_there(dataset):
            return recording.refuse("hybrid_quantization_step1", f"Dataset file {dataset} not found!")
        known = set(recording.tensors()) | {"input_ids", "attention_mask", "token_type_ids"}
        for name in (name for pair in custom_hybrid or [] for name in pair):
            if name not in known:
                recording.fail("hybrid_quantization_step1", f"The '{name}' of custom_hybrid is not in the graph!")
        self._drop_checks()
        self._go_wrong()
        stem = os.path.splitext(os.path.basename(self.model))[0]
        shutil.copy(self.model, f"{stem}.model")
        with open(f"{stem}.data", "w", encoding="utf-8") as file:
            json.dump({"settings": self.settings, "shapes": self.shapes}, file)
        layers = "".join(f"    {to}: float16\n" for _, to in custom_hybrid or [])
        with open(f"{stem}.quantization.cfg", "w", encoding="utf-8") as file:
            file.write(recording.text("tiny-int8.quantization.cfg").replace("custom_quantize_layers: {}\n", f"custom_quantize_layers:\n{layers}" if layers else "custom_quantize_layers: {}\n"))
        return 0

    def hybrid_quantization_step2(self, model_input=None, data_input=None, model_quantization_cfg=None):
        for path in (model_input, data_input, model_quantization_cfg):
            if not os.path.exists(path):
                recording.fail("hybrid_quantization_step2", f"The file {path} not exists!")
        if self.model is not None and self.version != "2.3.2":
            return recording.refuse("hybrid_quantization_step2", "The model already exists. Do not call 'load_onnx' before executing 'hybrid_quantization_step2'.")
        with open(data_input, encoding="utf-8") as file:
            self.__dict__.update(json.load(file))
        with open(model_input, "rb") as file:
            self.content = file.read()
        self.sides = derived.tensors(self.content, self.shapes[-1])
        self.built = "tiny-int8.rknn"
        recording.chatter(self._log(), "build")
        return 0

    def export_rknn(self, export_path):
        if self.built is None:
            return recording.refuse("export_rknn", "RKNN model does not exist, please load & build model first!")
        content = recording.content(self.built)
        if FAULT == "runnable" or not derived.fits(content, self.sides, self.version):
            lengths = [shapes[0][-1] for shapes in self.settings.get("dynamic_input", [])]
            content = derived.file(content, self.content, self.sides, self.version, self.settings["target_platform"], self.settings["custom_string"], lengths)
        with open(export_path, "wb") as file:
            file.write(content[: len(content) // 2] if FAULT == "cut" else content)
        return 0

    def init_runtime(self, target=None):
        return 0 if self.built and target is None else recording.refuse("init_runtime", "No model or no device!")

    def inference(self, inputs):
        """The recorded scores of the sample pairs, in their order, or derived ones."""
        import numpy

        shapes = [list(value.shape) for value in inputs]
        if shapes not in self.shapes or any(value.dtype != "int64" for value in inputs):
            recording.fail("inference", f"The input(ndim={len(shapes[0])}) shape {shapes[0]} is wrong")
        if not derived.fits(recording.content(self.built), self.sides, self.version):
            _, dims = self.sides[1][0]
            return [numpy.Array(derived.scores(inputs[0].values, dims), tuple(dims), "float32")]
        column = 4 if self.built == "tiny-int8.rknn" else 3
        score = float(recording.text(os.path.join("..", "tiny-scores.tsv")).splitlines()[1 + self.runs].split("\t")[column])
        self.runs += 1
        return [numpy.Array([score], (1, 1), "float32")]

    def accuracy_analysis(self, inputs, output_dir):
        for path in inputs:
            if not os.path.exists(path):
                recording.fail("accuracy_analysis", f"The input {path} not exists!")
        os.makedirs(output_dir)
        with open(os.path.join(output_dir, "error_analysis.txt"), "w", encoding="utf-8") as file:
            file.write(recording.text("tiny-int8-error_analysis.txt"))
        return 0

    def release(self):
        pass

    def _log(self):
        log = recording.text("tiny-int8-verbose.log" if "quantized_dtype" in self.settings else "tiny-fp16-verbose.log")
        return log.split("Total Internal Memory Size")[0] + "\n" if FAULT == "unended" else log

    @staticmethod
    def _dataset_is_there(dataset):
        if dataset is None or not os.path.exists(dataset):
            return False
        with open(dataset, encoding="utf-8") as lines:
            return all(os.path.exists(path) for line in lines for path in line.split())

    def _refuse_quantized_source(self):
        with open(self.model, "rb") as file:
            if b"DynamicQuantizeLinear" in file.read():
                recording.fail("build", "The DynamicQuantizeLinear('x') will cause the graph to be a dynamic graph! Remove it manually and try again!")

    def _drop_checks(self):
        for name in ("check0_base_optimize", "check1_fold_constant", "check2_correct_ops", "check3_fuse_ops"):
            shutil.copy(self.model, f"{name}.onnx")

    @staticmethod
    def _go_wrong():
        if FAULT == "slow":
            for percent in range(300):
                recording.bar("Quantizating", percent, 300)
                time.sleep(0.1)
        elif FAULT == "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child = os.fork()
            if child:
                with open("../pids", "a", encoding="utf-8") as pids:
                    pids.write(f"{os.getpid()}\n{child}\n")
            while True:
                time.sleep(60)
        elif FAULT == "oom":
            os.kill(os.getpid(), signal.SIGKILL)
        elif FAULT == "memory":
            held = [bytearray(1 << 28) for _ in range(1 << 20)]
            raise AssertionError(f"{len(held)} blocks of 256 MB were granted")
        elif FAULT == "disk":
            with open("/dev/full", "wb") as file:
                file.write(b"x" * (1 << 20))
        elif FAULT in ("garbage", "flood"):
            noise = b'{"event": "result"\n\x00\xff not json\n[]\n{"event": 7}\n' if FAULT == "garbage" else b"x" * (1 << 20)
            for descriptor in range(3, 20):
                try:
                    for _ in range(1 if FAULT == "garbage" else 64):
                        os.write(descriptor, noise)
                except OSError:
                    pass
        elif FAULT == "exit":
            os._exit(0)
