"""Side by side in one run: the shipped network in tract and in onnxruntime, and others beside it.

`python compare.py BENCH-PROGRAM CARD [--beside FILE ...] [--rounds N]`, called by `make bench-embedder`.
Each round asks every contender in turn for a few runs on one thread; what counts is the CPU time of the
thread, the median of the rounds, and the ratios to the shipped file in tract.
"""

import argparse
import pathlib
import statistics
import subprocess
import tempfile
import time
import tomllib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

RUNS = 10


class Tract:
    def __init__(self, program, paths):
        self.process = subprocess.Popen(
            [program, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def time(self, index):
        self.process.stdin.write(f"{index} {RUNS}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


class Onnxruntime:
    def __init__(self, path):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        face = self.session.get_inputs()[0]
        shape = [size if isinstance(size, int) else 1 for size in face.shape]
        values = (np.arange(np.prod(shape)) * 37 % 256 / 255).astype(np.float32)
        self.feed = {face.name: values.reshape(shape)}

    def time(self):
        times = []
        for _ in range(RUNS):
            start = time.thread_time()
            self.session.run(None, self.feed)
            times.append((time.thread_time() - start) * 1e3)
        return statistics.median(times)


def float_of(path, out):
    """The float network of an int8 file: its weights unfolded."""
    model = onnx.load(path)
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            steps, scale = stored[node.input[0]].astype(np.float32), stored[node.input[1]]
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            shape = [1] * steps.ndim
            if scale.ndim:
                shape[axis] = -1
            weights = numpy_helper.from_array(steps * scale.reshape(shape), node.output[0])
            model.graph.initializer.append(weights)
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    figures = [t for t in model.graph.initializer if t.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(figures)
    onnx.save(model, out)


class Noise(CalibrationDataReader):
    """Smooth noise: this measures time, not accuracy."""

    def __init__(self, feed):
        name, values = next(iter(feed.items()))
        random = np.random.default_rng(1)
        self.left = iter([{name: random.random(values.shape, np.float32)} for _ in range(8)])

    def get_next(self):
        return next(self.left, None)


def card_for(onnx_path, card, folder):
    """A copy of the card for another file of the same network."""
    import hashlib

    text = pathlib.Path(card).read_text()
    old = tomllib.loads(text)["model"]
    text = text.replace(old["file"], pathlib.Path(onnx_path).name)
    text = text.replace(old["sha256"], hashlib.sha256(pathlib.Path(onnx_path).read_bytes()).hexdigest())
    path = pathlib.Path(folder) / (pathlib.Path(onnx_path).stem + ".toml")
    path.write_text(text)
    return str(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("card")
    parser.add_argument("--beside", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    shipped = str(pathlib.Path(args.card).with_name(tomllib.loads(pathlib.Path(args.card).read_text())["model"]["file"]))
    with tempfile.TemporaryDirectory() as folder:
        plain, integer = f"{folder}/float.onnx", f"{folder}/qlinearconv.onnx"
        float_of(shipped, plain)
        runner = Onnxruntime(plain)
        quantize_static(
            plain, integer, Noise(runner.feed), quant_format=QuantFormat.QOperator, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
        )
        model = onnx.load(integer)
        del model.graph.value_info[:]
        onnx.save(model, integer)
        files = [args.card, card_for(plain, args.card, folder), card_for(integer, args.card, folder), *args.beside]
        tract = Tract(args.program, files)
        names = ["shipped file", "float file", "QLinearConv", *(pathlib.Path(b).name for b in args.beside)]
        contenders = {f"tract, {name}": (lambda i=i: tract.time(i)) for i, name in enumerate(names)}
        contenders["onnxruntime, float file"] = runner.time
        contenders["onnxruntime, shipped file"] = Onnxruntime(shipped).time
        contenders["onnxruntime, QLinearConv"] = Onnxruntime(integer).time
        for beside in args.beside:
            contenders[f"onnxruntime, {pathlib.Path(beside).name}"] = Onnxruntime(beside).time
        times = {name: [] for name in contenders}
        for round_ in range(args.rounds + 1):
            for name, measure in contenders.items():
                value = measure()
                if round_:  # the first round warms up
                    times[name].append(value)
        first = times["tract, shipped file"]
        print(f"{args.rounds} rounds of {RUNS} runs each, CPU time of one thread")
        print(f"{'':34} {'median ms':>9} {'to shipped in tract':>20}")
        for name, values in times.items():
            ratio = statistics.median(v / f for v, f in zip(values, first))
            print(f"{name:34} {statistics.median(values):9.3f} {ratio:19.2f}x")
        tract.process.stdin.close()
        tract.process.wait()


if __name__ == "__main__":
    main()
