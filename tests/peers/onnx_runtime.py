"""ONNX Runtime on the CPU, with its default kernels and all its optimisations of the graph."""

import warnings

import onnxruntime
import torch

from peer import Runner, gap

NAME = f"ONNX Runtime {onnxruntime.__version__}"


def export(case, network, inputs, outputs, name=None):
    """`network` as a file, whose path is returned. `inputs` are example tensors by name; a name in `network.growing` has a
    dimension that may change from call to call."""
    path = str(case.folder / f"{name or case.name}.onnx")
    growing = getattr(network, "growing", {})
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter by tracing is called old by each call.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            path,
            dynamo=False,
            opset_version=17,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=growing,
        )
    return path


def session(case, network, inputs, outputs, name=None):
    """`network` exported and opened."""
    path = export(case, network, inputs, outputs, name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = case.threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def runner(case, network, inputs, outputs):
    """A pass of an exported network over `inputs`, arrays by name, whose first outputs the engine wrote as `out.NAME`."""
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    opened = session(case, network, tensors, outputs)
    found = dict(zip(outputs, opened.run(None, inputs)))
    gaps = {name: gap(found[name], case.arrays[f"out.{name}"]) for name in outputs if f"out.{name}" in case.arrays}
    return Runner(NAME, gaps, lambda: opened.run(None, inputs))
