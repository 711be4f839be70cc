"""The networks of the engine in PyTorch, under the engine's names of their parameters, so that the same weights load."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import densenet121
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


class SelfAttention(nn.Module):
    def __init__(self, width, heads, eps):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width, eps)

    def split(self, x):
        batch, rows, width = x.shape
        return x.view(batch, rows, self.heads, width // self.heads).transpose(1, 2)

    def project(self, x):
        return self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))

    def merge(self, x):
        batch, heads, rows, width = x.shape
        return self.output(x.transpose(1, 2).reshape(batch, rows, heads * width))

    def mix(self, query, key, value, mask):
        # Spelled out as transformers' BERT has it: ONNX Runtime fuses these; PyTorch's own kernel trains.
        if self.training:
            return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        return F.softmax(scores if mask is None else scores + mask, -1) @ value


class Layer(nn.Module):
    """A transformer layer, norms after its sub-layers (BERT) or before (ViT)."""

    def __init__(self, width, heads, intermediate, eps, pre_norm=False):
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = SelfAttention(width, heads, eps)
        self.intermediate = nn.Linear(width, intermediate)
        self.output = nn.Linear(intermediate, width)
        self.output_norm = nn.LayerNorm(width, eps)

    def forward(self, x, mask=None, past=None):
        """The layer's output, and the keys and values of `x`. `past` are keys and values before them."""
        attention = self.attention
        query, key, value = attention.project(attention.norm(x) if self.pre_norm else x)
        keys, values = key, value
        if past is not None:
            keys, values = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        mixed = attention.merge(attention.mix(query, keys, values, mask))
        x = x + mixed if self.pre_norm else attention.norm(mixed + x)
        inner = F.gelu(self.intermediate(self.output_norm(x) if self.pre_norm else x))
        inner = self.output(inner)
        x = x + inner if self.pre_norm else self.output_norm(inner + x)
        return x, (key, value)


def count(weights, stack):
    """Layers of the stack named `stack`."""
    return 1 + max(int(name.split(stack)[1].split(".")[0]) for name in weights if stack in name)


class Encoder(nn.Module):
    """A post-norm encoder with the sizes of its weights."""

    def __init__(self, weights, heads, eps, prefix=""):
        super().__init__()
        intermediate, width = weights[f"{prefix}layer.0.intermediate.weight"].shape
        layers = count(weights, f"{prefix}layer.")
        self.layer = nn.ModuleList(Layer(width, heads, intermediate, eps) for _ in range(layers))

    def forward(self, x, mask=None):
        for layer in self.layer:
            x, _ = layer(x, mask)
        return x


class Vit(nn.Module):
    """A ViT with class token and learned positions; all tokens, after the last norm."""

    def __init__(self, weights, heads, eps):
        super().__init__()
        intermediate, width = weights["blocks.0.intermediate.weight"].shape
        _, channels, patch, _ = weights["patch_embed.proj.weight"].shape
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(channels, width, patch, patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(weights["pos_embed"].shape))
        self.blocks = nn.ModuleList(
            Layer(width, heads, intermediate, eps, pre_norm=True) for _ in range(count(weights, "blocks."))
        )
        self.norm = nn.LayerNorm(width, eps)

    def forward(self, pixels):
        patches = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], 1) + self.pos_embed
        for block in self.blocks:
            x, _ = block(x)
        return self.norm(x)


class ResNetMap(ResNet):
    """torchvision's ResNet up to its last map, of any width."""

    def __init__(self, channels, width, depths, bottleneck):
        nn.Module.__init__(self)
        self._norm_layer = nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = width, 1, 1, 64
        self.conv1 = nn.Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for stage, depth in enumerate(depths):
            block, stride = Bottleneck if bottleneck else BasicBlock, 1 if stage == 0 else 2
            setattr(self, f"layer{stage + 1}", self._make_layer(block, width << stage, depth, stride=stride))

    @classmethod
    def of(cls, weights, prefix=""):
        """With the sizes of its weights."""
        width, channels = weights[f"{prefix}conv1.weight"].shape[:2]
        depths = [count(weights, f"{prefix}layer{stage}.") for stage in range(1, 5)]
        return cls(channels, width, depths, f"{prefix}layer1.0.conv3.weight" in weights)

    def forward(self, pixels):
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class DenseNetMap(nn.Module):
    """torchvision's DenseNet-121 up to its last map, rectified."""

    def __init__(self):
        super().__init__()
        for name, module in densenet121(weights=None).features.named_children():
            self.add_module(name, module)

    def forward(self, pixels):
        for module in self.children():
            pixels = module(pixels)
        return F.relu(pixels)


def load(network, weights, prefix=""):
    """`network` with the engine's weights under `prefix`; a name that either side lacks is an error, but for the batches that
    PyTorch's norms count."""
    state = {name[len(prefix) :]: torch.from_numpy(w) for name, w in weights.items() if name.startswith(prefix)}
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"weights and network differ: missing {missing[:3]}, unexpected {unexpected[:3]}")
    return network.eval()
