"""Golden numbers of a tiny ResNet with bottleneck blocks, from torchvision's own layers.

    python make_resnet.py        writes resnet_tiny.*.safetensors beside this script

Made with Python 3.10, torch 1.12.1, torchvision 0.13.1, safetensors 0.8.0 (CPU, one thread); each file names the
versions that wrote it. torchvision fixes the widths at 64 to 512, so its class is set up here with 4 to 32; blocks,
strides (on the 3x3 convolution) and forward pass are torchvision's. Statistics, norms and biases of BatchNorm are
random, so that a swapped tensor shows. A run with other versions may differ in the last bits.

resnet_tiny.weights   torchvision's names, blocks [1, 2, 1, 1], widths 4, 8, 16, 32, expansion 4, 3 classes
resnet_tiny.io        in.image (2, 3, 48, 40); out.stem (after norm and ReLU), out.pool, out.layer1 .. out.layer4 (NCHW),
                      out.pooled (mean over the last map), out.logits; evaluation mode, epsilon 1e-5
"""

import platform
from pathlib import Path

import safetensors
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

HERE = Path(__file__).parent
WIDTHS, BLOCKS, CLASSES = (4, 8, 16, 32), (1, 2, 1, 1), 3
VERSIONS = (
    f"python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}, "
    f"safetensors {safetensors.__version__}"
)


class TinyResNet(ResNet):
    """torchvision's ResNet with narrow stages."""

    def __init__(self):
        nn.Module.__init__(self)
        self._norm_layer = nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = WIDTHS[0], 1, 1, 64
        self.conv1 = nn.Conv2d(3, WIDTHS[0], kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for stage, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS)):
            layer = self._make_layer(Bottleneck, width, blocks, stride=1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(WIDTHS[-1] * Bottleneck.expansion, CLASSES)


def randomise(model, generator):
    """Convolutions by fan-in, so that the depth neither kills nor blows up the signal; all else random about its rest."""
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.dim() > 1:
                tensor.copy_(noise * (2.0 / tensor[0].numel()) ** 0.5)
            else:
                tensor.copy_(noise * 0.2 + (1.0 if name.endswith("weight") else 0.0))


def save(name, tensors):
    # One metadata key only: the library writes several in random order, and the file would differ from run to run.
    tensors = {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}
    save_file(tensors, HERE / name, metadata={"versions": VERSIONS})


def main():
    generator = torch.Generator().manual_seed(11)
    model = TinyResNet().eval()
    randomise(model, generator)
    image = torch.randn(2, 3, 48, 40, generator=generator)
    named = {"in.image": image}
    with torch.no_grad():
        named["out.stem"] = x = model.relu(model.bn1(model.conv1(image)))
        named["out.pool"] = x = model.maxpool(x)
        for stage in range(1, 5):
            named[f"out.layer{stage}"] = x = getattr(model, f"layer{stage}")(x)
        named["out.pooled"] = model.avgpool(x).flatten(1)
        named["out.logits"] = model(image)
        # The intermediates above must be those of torchvision's own forward pass.
        assert torch.equal(model.fc(named["out.pooled"]), named["out.logits"])
    save("resnet_tiny.weights.safetensors", model.state_dict())
    save("resnet_tiny.io.safetensors", named)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
