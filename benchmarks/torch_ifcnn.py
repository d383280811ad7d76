"""IFCNN with test-time weights in plain PyTorch, to time against: each layer as its formula says, nothing folded.

Needs PyTorch, which the package does not; ``benchmarks.fuse`` does without this file where it is not installed.
"""

from functools import reduce

import numpy as np
import torch
from torch import nn


class ConvBlock(nn.Module):
    """3x3 convolution with replicate padding, batch normalisation, ReLU."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(64, 64, 3, padding=1, padding_mode="replicate", bias=False)
        self.bn = nn.BatchNorm2d(64)

    def forward(self, x):
        """The block's maps."""
        return torch.relu(self.bn(self.conv(x)))


class TorchIFCNN(nn.Module):
    """The network with the maximum rule, static or with the weights of the recipe "fitted", by a component."""

    def __init__(self, variables, channels_last: bool = False, component: str = "black"):
        super().__init__()
        self.component = component
        self.conv1 = nn.Conv2d(3, 64, 7, padding=3, padding_mode="replicate", bias=False)
        self.conv2, self.conv3, self.conv4 = ConvBlock(), ConvBlock(), nn.Conv2d(64, 3, 1)
        self.mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        self.std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.load_state_dict(_state(variables), strict=True)
        self.eval().to(memory_format=self.format)

    def encode(self, x):
        """Features of images in [0, 1]."""
        return self.conv2(self.conv1((x - self.mean) / self.std))

    def decode(self, features):
        """Images of features."""
        return self.conv4(self.conv3(features)) * self.std + self.mean

    def components(self, x, features):
        """What stands for each source: the maximum of copies of one map is that map."""
        if self.component == "fused":
            return [self.decode(reduce(torch.maximum, features))] * len(features)
        if self.component == "black":
            black = self.encode(torch.zeros_like(x[:1]))
            features = [torch.maximum(own, black) for own in features]
        return [self.decode(own) for own in features]

    @torch.inference_mode()
    def forward(self, sources: np.ndarray, dynamic: bool) -> np.ndarray:
        """The fused image (H, W, 3) of sources (M, H, W, C), one after another, as the authors' code takes them."""
        x = np.broadcast_to(sources, (*sources.shape[:3], 3)).transpose(0, 3, 1, 2)
        x = torch.from_numpy(np.ascontiguousarray(x)).to(memory_format=self.format)
        features = [self.encode(one[None]) for one in x]
        if dynamic:
            losses = []
            for one, component in zip(x, self.components(x, features), strict=True):
                losses.append(((component - self.mean) / self.std - one).abs().mean(1, keepdim=True))
            weights = torch.softmax(torch.exp(-torch.stack(losses)), dim=0)
            merged = sum(weight * own for weight, own in zip(weights, features, strict=True))
        else:
            merged = reduce(torch.maximum, features)
        return self.decode(merged)[0].permute(1, 2, 0).numpy()


def reference_convolution():
    """A 3x3 convolution of 3 images of 480x640 and 64 channels, channels last: the measure of a machine."""
    layer = nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
    maps = torch.rand(3, 64, 480, 640).contiguous(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            return layer(maps)

    return run


def _state(variables) -> dict[str, torch.Tensor]:
    """Flax variables under PyTorch's names, in its order of axes."""
    params, running = variables["params"], variables["batch_stats"]
    state = {"conv1.weight": _kernel(params["conv1"]), "conv4.weight": _kernel(params["conv4"])}
    state["conv4.bias"] = params["conv4"]["bias"]
    for name in ("conv2", "conv3"):
        norm, statistics = params[name]["bn"], running[name]["bn"]
        state |= {
            f"{name}.conv.weight": _kernel(params[name]["conv"]),
            f"{name}.bn.weight": norm["scale"],
            f"{name}.bn.bias": norm["bias"],
            f"{name}.bn.running_mean": statistics["mean"],
            f"{name}.bn.running_var": statistics["var"],
            f"{name}.bn.num_batches_tracked": np.array(0),
        }
    return {name: torch.from_numpy(np.array(array)) for name, array in state.items()}


def _kernel(layer) -> np.ndarray:
    return np.asarray(layer["kernel"]).transpose(3, 2, 0, 1)
