"""Engines that run an encoder on a CPU in place of torch: OpenVINO and ONNX Runtime."""

import logging
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hbr.core.cores import divide
from hbr.core.digests import fingerprint
from hbr.core.errors import UserError
from hbr.models.encoder import Encoder
from hbr.models.sources import encoder_id

Run = Callable[[Tensor, Tensor], np.ndarray]  # padded token ids and mask to vectors

PACKAGES = {"openvino": ["openvino"], "onnx": ["onnx", "onnxruntime"]}
FILES = {"openvino": "encoder.xml", "onnx": "encoder.onnx"}
NAMES = ["input_ids", "attention_mask"]


def choose(backend: str, device: torch.device, precision: str) -> str:
    """Return the engine to encode with: for `auto` OpenVINO on a CPU where it is installed.

    Raises UserError for an engine that is not installed, or does not compute there, or not so.
    """
    if precision == "int8" and backend != "onnx":
        raise UserError("encode.precision=int8 is ONNX Runtime's: set encode.backend=onnx")
    if backend == "auto":
        return "openvino" if device.type == "cpu" and not _missing("openvino") else "torch"
    if backend == "torch":
        return backend
    setting = f"encode.backend={backend}"
    if package := _missing(backend):
        raise UserError(f"{setting} needs {package}: pip install 'hbr[{backend}]'")
    if device.type != "cpu":
        raise UserError(f"{setting} computes on a CPU alone: say --device cpu, or backend torch")
    if backend == "onnx" and precision == "bf16":
        raise UserError(f"{setting} has no bf16 on a CPU: set encode.precision=fp32, or int8")
    return backend


def compiled(backend: str, encoder: Encoder, precision: str, cache: Path) -> Run:
    """Return what an engine makes of an encoder: ids and mask (texts, tokens) to (texts, width).

    It is exported once into `cache`, a folder of its own for each of its states, and read from
    there afterwards. In fp32 vectors are torch's within 1e-5.
    """
    state = [encoder_id(encoder.files), encoder.modes, encoder.normalize, torch.__version__]
    state += [repr(encoder.layers), encoder.truncate_dim]
    state += ["int8"] if precision == "int8" else []
    folder = cache / f"{backend}-{fingerprint(state)}"
    if not folder.exists():
        partial = cache / f".{folder.name}.{os.getpid()}.partial"
        partial.mkdir(parents=True)
        try:
            _export(backend, encoder, partial / FILES[backend])
            if precision == "int8":
                _quantize(partial / FILES[backend])
            partial.rename(folder)
        except OSError:  # another process was quicker
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return {"openvino": _openvino, "onnx": _onnx}[backend](folder / FILES[backend], precision)


def _missing(backend: str) -> str | None:
    return next((name for name in PACKAGES[backend] if not find_spec(name)), None)


@torch.no_grad()
def _export(backend: str, encoder: Encoder, path: Path) -> None:
    backbone: Any = encoder.backbone
    attention = backbone.config._attn_implementation
    backbone.set_attn_implementation("eager")  # masks of sdpa are not exported rightly
    inputs = encoder.pad([[0], [0, 0, 0]])
    try:
        with warnings.catch_warnings(action="ignore"):  # of branches that no text decides
            _trace(backend, encoder, inputs, path)
    finally:
        backbone.set_attn_implementation(attention)


def _trace(backend: str, encoder: Encoder, inputs: tuple[Tensor, Tensor], path: Path) -> None:
    if backend == "openvino":
        import openvino

        model = openvino.convert_model(encoder, example_input=inputs)
        openvino.save_model(model, path, compress_to_fp16=False)
    else:
        axes = {name: {0: "texts", 1: "tokens"} for name in NAMES}
        torch.onnx.export(encoder, inputs, path, input_names=NAMES, dynamic_axes=axes, dynamo=False)


def _quantize(path: Path) -> None:
    """Store the weights of an export as bytes; what they multiply is rounded as it comes."""
    from onnxruntime.quantization import quantize_dynamic

    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))  # it asks for a step that changes nothing
    try:
        quantize_dynamic(path, path.with_suffix(".int8"))
    finally:
        logging.disable(before)
    path.with_suffix(".int8").replace(path)


def _openvino(path: Path, precision: str) -> Run:
    import openvino

    threads = torch.get_num_threads()
    hints = {
        "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": divide(threads)[0],
    }
    model = openvino.Core().compile_model(path, "CPU", hints)
    own = threading.local()

    def run(ids: Tensor, mask: Tensor) -> np.ndarray:
        if not hasattr(own, "request"):  # one serves a thread at a time
            own.request = model.create_infer_request()
        return own.request.infer((ids.numpy(), mask.numpy()))[0]

    return run


def _onnx(path: Path, precision: str) -> Run:
    import onnxruntime

    assert precision in ("fp32", "int8")
    options = onnxruntime.SessionOptions()
    _, options.intra_op_num_threads = divide(torch.get_num_threads())
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    return lambda *inputs: session.run(
        None, {name: tensor.numpy() for name, tensor in zip(NAMES, inputs, strict=True)}
    )[0]
