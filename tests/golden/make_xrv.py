"""Golden files of TorchXRayVision's DenseNet, small, and the table of its published files.

    python make_xrv.py        writes xrv_tiny.* beside this script and xrv.json beside the import table

Made with Python 3.11.7, torch 2.15.0, torchxrayvision 1.5.7, safetensors 0.8.0 (CPU, one thread); each file that can name
the versions names those that wrote it. The network is the package's class with small sizes, random weights, and BatchNorm
statistics of three passes in training mode; logits, targets and thresholds are the package's.

xrv_tiny.whole.pt     torch.save(model): the module with the targets and op_threshs of densenet121-res224-nih, four of whose
                      18 outputs have no name
xrv_tiny.legacy.pt    as the published files are: the module saved before PyTorch 1.6, class sources beside it (here a line in
                      the place of each), and neither targets nor op_threshs
xrv_tiny.state.pt     torch.save(model.state_dict()) of the first
xrv_tiny.io           in.image (2, 1, 64, 64) from -1024 to 1024; out.logits (2, 18), in evaluation mode
xrv_tiny.json         the first one's targets and op_threshs, null where it is not a number
xrv.json              what the package says of each published DenseNet: its file, labels and op_threshs
"""

import json
import math
import platform
import warnings
from pathlib import Path

import safetensors
import torch
import torchxrayvision as xrv
from safetensors.torch import save_file

HERE = Path(__file__).parent
TABLE = HERE.parent.parent / "engine/src/bundle/import/xrv.json"
SIZES = {"growth_rate": 4, "block_config": (1, 2, 1, 1), "num_init_features": 8}
VERSIONS = (
    f"python {platform.python_version()}, torch {torch.__version__}, torchxrayvision {xrv.__version__}, "
    f"safetensors {safetensors.__version__}"
)


def randomise(model, generator):
    """Convolutions by fan-in; norms and biases random about their rest, so that a swapped tensor shows."""
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.dim() > 1:
                tensor.copy_(noise * (2.0 / tensor[0].numel()) ** 0.5)
            else:
                tensor.copy_(noise * 0.2 + (1.0 if name.endswith("weight") else 0.0))


def picture(generator, count):
    """Smooth noise over the package's range of pixels."""
    coarse = torch.randn(count, 1, 9, 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic")
    return (smooth * 400 + torch.randn(count, 1, 64, 64, generator=generator) * 60).clamp(-1024, 1024)


def save_legacy(model, path):
    """The format before PyTorch 1.6, and modules of that time, which knew no buffers that are not saved."""
    for module in model.modules():
        del module.__dict__["_non_persistent_buffers_set"]
    # Whose text stands there is not read; that of the package and of PyTorch stays out of the repository.
    torch.serialization.get_source_lines_and_file = lambda cls: ([f"class {cls.__name__}: ...\n"], 1, "models.py")
    torch.save(model, path, _use_new_zipfile_serialization=False)


def finite(values):
    return [None if math.isnan(value) else value for value in values]


def published():
    rows = []
    for name, row in sorted(xrv.models.model_urls.items()):
        if name.startswith("densenet"):
            rows.append(
                {
                    "weights": name,
                    "file": row["weights_url"].rsplit("/", 1)[1].removesuffix(".pt"),
                    "labels": row["labels"],
                    "op_threshs": finite(row["op_threshs"]),
                }
            )
    return rows


def main():
    generator = torch.Generator().manual_seed(17)
    model = xrv.models.DenseNet(**SIZES, num_classes=18)
    randomise(model, generator)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(picture(generator, 6))
    model.eval()
    image = picture(generator, 2)
    with torch.no_grad():
        logits = model(image)
    tensors = {"in.image": image, "out.logits": logits}
    save_file(tensors, HERE / "xrv_tiny.io.safetensors", metadata={"versions": VERSIONS})

    row = xrv.models.model_urls["densenet121-res224-nih"]
    model.targets = row["labels"]
    model.pathologies = model.targets
    model.op_threshs = torch.tensor(row["op_threshs"])
    torch.save(model, HERE / "xrv_tiny.whole.pt")
    torch.save(model.state_dict(), HERE / "xrv_tiny.state.pt")
    told = {
        "versions": VERSIONS,
        "targets": model.targets,
        "op_threshs": finite(model.op_threshs.tolist()),
    }
    (HERE / "xrv_tiny.json").write_text(json.dumps(told, indent=1) + "\n")

    bare = xrv.models.DenseNet(**SIZES, num_classes=18)
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "op_threshs"}
    bare.load_state_dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_legacy(bare.eval(), HERE / "xrv_tiny.legacy.pt")

    table = {"versions": VERSIONS, "published": published()}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
