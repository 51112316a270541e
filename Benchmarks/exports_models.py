"""The models that Benchmarks/exports.py exports from torch: whole architectures, some of fewer and
narrower layers than people train, with weights drawn from a seed."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import math
import pathlib
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

#: The symbols of an input's axes that may differ from run to run.
Axes = dict[int, str]


@dataclasses.dataclass
class Case:
    """A model, three sets of inputs for it, and what its file is to call them. It is exported with
    the first set, and takes the others where its axes may differ."""

    module: nn.Module
    inputs: dict[str, Axes]
    outputs: list[str]
    feeds: list[list[Tensor]]


def provide_nms() -> None:
    """Lets torchvision be imported, and its nms be called, with a torch that its own operators were
    not built for (the usual one is built for CUDA): a plain one takes the place of theirs."""
    spec = importlib.util.find_spec("torchvision")
    (folder,) = spec.submodule_search_locations
    try:
        (library,) = pathlib.Path(folder).glob("_C*.so")
        torch.ops.load_library(library)
    except OSError:
        for name in ("nms", "qnms"):
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", signature)
        torch.library.impl("torchvision::nms", "CPU", greedy_nms)
    import torchvision  # noqa: F401  (tells the exporters of its operators)


def greedy_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left, kept = scores.argsort(descending=True, stable=True), []
    while left.numel():
        best, left = left[0], left[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[left, :2])
        high = torch.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        left = left[shared / (areas[best] + areas[left] - shared) <= threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


def lively(module: nn.Module, *inputs: Tensor) -> nn.Module:
    """Gives a fresh model what training gives it, so that no part of it is idle: parameters that
    begin as a constant are drawn around it, linear layers pass on what they get in its size,
    recurrent ones use all of their range, and batch norms know the statistics of the inputs."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(std=1 / math.sqrt(layer.in_features))
            if isinstance(layer, nn.LSTM):
                for weights in layer.parameters():
                    weights.mul_(4)
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None
        for values in module.parameters():
            if values.numel() > 1 and bool((values == values.flatten()[0]).all()):
                values.add_(0.2 * torch.randn_like(values))
        if any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules()):
            module.train()(*inputs)
    return module.eval()


def write_out_attention(module: nn.Module) -> None:
    """Lets models of timm and transformers compute attention in parts."""
    for layer in module.modules():
        if hasattr(layer, "fused_attn"):
            layer.fused_attn = False
        if hasattr(layer, "set_attn_implementation"):
            layer.set_attn_implementation("eager")


def images(*shapes: tuple[int, int, int]) -> list[list[Tensor]]:
    return [[torch.randn(count, 3, high, wide)] for count, high, wide in shapes]


def classifier(module: nn.Module, *shapes: tuple[int, int, int]) -> Case:
    """One of [N, 3, H, W], whose sides may differ where those of `shapes` do."""
    axes = {0: "batch"}
    if len({shape[1:] for shape in shapes}) > 1:
        axes |= {2: "height", 3: "width"}
    lively(module, torch.randn(8, 3, *shapes[0][1:]))
    return Case(module, {"image": axes}, ["scores"], images(*shapes))


ANY_SIDES = ((2, 64, 96), (1, 96, 64), (3, 65, 71))
ONE_SIDE = ((2, 64, 64), (1, 64, 64), (3, 64, 64))


def resnet18() -> Case:
    import torchvision

    return classifier(torchvision.models.resnet18(), *ANY_SIDES)


def mobilenet_v3() -> Case:
    import torchvision

    return classifier(torchvision.models.mobilenet_v3_small(), *ANY_SIDES)


def efficientnet_b0() -> Case:
    import torchvision

    return classifier(torchvision.models.efficientnet_b0(), *ANY_SIDES)


def vit_tiny() -> Case:
    import timm

    return classifier(timm.create_model("vit_tiny_patch16_224", img_size=64, depth=4), *ONE_SIDE)


def swin_tiny() -> Case:
    """Windows of 4 by 4, shifted in every second block as long as there is more than one."""
    import timm

    sizes = {"img_size": 64, "window_size": 4, "embed_dim": 48, "depths": (2, 2, 2, 2)}
    return classifier(timm.create_model("swin_tiny_patch4_window7_224", **sizes), *ONE_SIDE)


def convnext_tiny() -> Case:
    import timm

    sizes = {"depths": (2, 2, 2, 2), "dims": (48, 96, 192, 384)}
    return classifier(timm.create_model("convnext_tiny", **sizes), *ANY_SIDES)


class Positional(nn.Module):
    """A model of transformers by tensors alone, `names` of its parameters."""

    def __init__(self, model: nn.Module, names: list[str], outputs: list[str]) -> None:
        super().__init__()
        self.model, self.names, self.outputs = model, names, outputs

    def forward(
        self, first: Tensor, second: Tensor, third: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        values = dict(zip(self.names, (first, second, third), strict=False))
        given = self.model(**values, use_cache=False)
        return tuple(given[name] for name in self.outputs)


def tokens(*shapes: tuple[int, int]) -> list[list[Tensor]]:
    """Sequences, and masks of which the first ends before its last token."""
    feeds = []
    for shape in shapes:
        mask = torch.ones(shape, dtype=torch.int64)
        mask[0, -2:] = 0
        feeds.append([torch.randint(0, 200, shape), mask])
    return feeds


BATCHED = {0: "batch", 1: "sequence"}


def bert_mini() -> Case:
    import transformers

    config = transformers.BertConfig(
        vocab_size=200, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=64,
    )  # fmt: skip
    names, outputs = ["input_ids", "attention_mask"], ["last_hidden_state", "pooler_output"]
    model = Positional(transformers.BertModel(config), names, outputs)
    feeds = tokens((2, 9), (1, 5), (3, 17))
    return Case(lively(model), dict.fromkeys(names, BATCHED), outputs, feeds)


def gpt2(layers: int) -> nn.Module:
    import transformers

    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=200, n_positions=64, n_embd=64, n_layer=layers, n_head=4,
            bos_token_id=1, eos_token_id=2, initializer_range=0.1,
        )
    )  # fmt: skip


def gpt2_mini() -> Case:
    names = ["input_ids", "attention_mask"]
    model = Positional(gpt2(3), names, ["logits"])
    feeds = tokens((2, 9), (1, 5), (3, 17))
    return Case(lively(model), dict.fromkeys(names, BATCHED), ["logits"], feeds)


class Cached(nn.Module):
    """GPT-2 of two layers, with what it kept of the tokens before as inputs and as outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.model = gpt2(2)

    def forward(
        self, ids: Tensor, mask: Tensor, key_0: Tensor, value_0: Tensor, key_1: Tensor,
        value_1: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        from transformers import DynamicCache

        past = DynamicCache([(key_0, value_0), (key_1, value_1)])
        logits = self.model(ids, attention_mask=mask, cache=past, use_cache=True).logits
        return logits, *(part for layer in past.layers for part in (layer.keys, layer.values))


def gpt2_mini_cache() -> Case:
    names = ["key_0", "value_0", "key_1", "value_1"]
    feeds = []
    for batch, past, sequence in ((2, 6, 3), (1, 11, 1), (3, 4, 5)):
        mask = torch.ones(batch, past + sequence, dtype=torch.int64)
        mask[0, :2] = 0
        kept = [torch.randn(batch, 4, past, 16) for _ in names]
        feeds.append([torch.randint(0, 200, (batch, sequence)), mask, *kept])
    inputs = {"input_ids": BATCHED, "attention_mask": {0: "batch", 1: "total"}}
    inputs |= {f"past_{name}": {0: "batch", 2: "past"} for name in names}
    outputs = ["logits", *(f"present_{name}" for name in names)]
    return Case(lively(Cached()), inputs, outputs, feeds)


def whisper_mini() -> Case:
    import transformers

    config = transformers.WhisperConfig(
        vocab_size=200, num_mel_bins=80, encoder_layers=2, decoder_layers=2, d_model=64,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=128,
        decoder_ffn_dim=128, max_source_positions=50, max_target_positions=40,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    names = ["input_features", "decoder_input_ids", "decoder_attention_mask"]
    outputs = ["logits", "encoder_last_hidden_state"]
    model = transformers.WhisperForConditionalGeneration(config)
    feeds = [
        [torch.randn(len(mask), 80, 100), ids, mask]
        for ids, mask in tokens((2, 7), (1, 4), (3, 12))
    ]
    inputs = {names[0]: {0: "batch"}, names[1]: BATCHED, names[2]: BATCHED}
    return Case(lively(Positional(model, names, outputs)), inputs, outputs, feeds)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(200, 32)
        self.recurrent = nn.LSTM(32, 48, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(96, 17)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.head(self.recurrent(self.embedding(ids))[0])
        return scores.log_softmax(-1), scores.argmax(-1)


def lstm_tagger() -> Case:
    feeds = [[torch.randint(0, 200, shape)] for shape in ((2, 11), (1, 4), (5, 23))]
    return Case(lively(Tagger()), {"ids": BATCHED}, ["chances", "tags"], feeds)


def block(channels: int, width: int) -> nn.Sequential:
    layers = []
    for given in (channels, width):
        convolution = nn.Conv2d(given, width, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Of any sides: what comes up is padded to what it meets, as the well-known one in torch does.
    One way up is a transposed convolution, the other interpolates."""

    def __init__(self, width: int = 16, levels: int = 3) -> None:
        super().__init__()
        self.first = block(3, width)
        widths = [width << level for level in range(levels + 1)]
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(block(low, high) for low, high in pairs)
        self.up = nn.ModuleList(self.riser(low, high, low > width) for low, high in pairs[::-1])
        self.join = nn.ModuleList(block(2 * low, low) for low, _ in pairs[::-1])
        self.last = nn.Conv2d(width, 4, 1)

    @staticmethod
    def riser(low: int, high: int, is_learned: bool) -> nn.Module:
        if is_learned:
            return nn.ConvTranspose2d(high, low, 2, stride=2)
        grown = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        return nn.Sequential(grown, nn.Conv2d(high, low, 1))

    def forward(self, image: Tensor) -> Tensor:
        kept = [self.first(image)]
        for down in self.down:
            kept.append(down(functional.max_pool2d(kept[-1], 2)))
        value = kept.pop()
        for up, join in zip(self.up, self.join, strict=True):
            value, beside = up(value), kept.pop()
            high, wide = (beside.shape[axis] - value.shape[axis] for axis in (2, 3))
            sides = [wide // 2, wide - wide // 2, high // 2, high - high // 2]
            value = join(torch.cat([beside, functional.pad(value, sides)], dim=1))
        return self.last(value)


def unet() -> Case:
    shapes = ((2, 64, 80), (1, 80, 48), (3, 41, 67))
    model = lively(UNet(), torch.randn(4, 3, 64, 80))
    axes = {0: "batch", 2: "height", 3: "width"}
    return Case(model, {"image": axes}, ["classes"], images(*shapes))


def convolved(channels: int, width: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.SiLU(inplace=True))


class Split(nn.Module):
    """YOLO's C2f: half of the channels go past the bottlenecks, whose results all are kept."""

    def __init__(self, channels: int, width: int, shortcut: bool) -> None:
        super().__init__()
        self.enter, self.leave = convolved(channels, width), convolved(width // 2 * 3, width)
        half = width // 2
        self.inner = nn.Sequential(convolved(half, half, 3), convolved(half, half, 3))
        self.shortcut = shortcut

    def forward(self, value: Tensor) -> Tensor:
        past, last = self.enter(value).chunk(2, 1)
        inner = self.inner(last) + last if self.shortcut else self.inner(last)
        return self.leave(torch.cat([past, last, inner], 1))


class Pyramid(nn.Module):
    """YOLO's SPPF."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.leave = convolved(width, width // 2), convolved(width * 2, width)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, value: Tensor) -> Tensor:
        values = [self.enter(value)]
        for _ in range(3):
            values.append(self.pool(values[-1]))
        return self.leave(torch.cat(values, 1))


class YOLO(nn.Module):
    """Backbone, the two ways through the pyramid, heads without anchors whose distances are means
    over bins, and in the graph also what follows: the best boxes above a score, class by class."""

    CLASSES, BINS, STRIDES = 6, 16, (8, 16, 32)

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(
            convolved(3, w, 3, 2), convolved(w, 2 * w, 3, 2), Split(2 * w, 2 * w, True)
        )
        self.third = nn.Sequential(convolved(2 * w, 4 * w, 3, 2), Split(4 * w, 4 * w, True))
        self.fourth = nn.Sequential(convolved(4 * w, 8 * w, 3, 2), Split(8 * w, 8 * w, True))
        self.fifth = nn.Sequential(
            convolved(8 * w, 8 * w, 3, 2), Split(8 * w, 8 * w, True), Pyramid(8 * w)
        )
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")
        self.up4, self.up3 = Split(16 * w, 8 * w, False), Split(12 * w, 4 * w, False)
        self.down4, self.join4 = convolved(4 * w, 4 * w, 3, 2), Split(12 * w, 8 * w, False)
        self.down5, self.join5 = convolved(8 * w, 8 * w, 3, 2), Split(16 * w, 8 * w, False)
        heads = [4 * w, 8 * w, 8 * w]
        self.boxes = nn.ModuleList(self.head(given, 4 * self.BINS) for given in heads)
        self.classes = nn.ModuleList(self.head(given, self.CLASSES) for given in heads)
        bins = torch.arange(self.BINS, dtype=torch.float32)
        self.register_buffer("bins", bins.reshape(1, self.BINS, 1, 1))

    @staticmethod
    def head(given: int, width: int) -> nn.Sequential:
        return nn.Sequential(convolved(given, 32, 3), nn.Conv2d(32, width, 1))

    def levels(self, image: Tensor) -> list[Tensor]:
        third = self.third(self.stem(image))
        fourth = self.fourth(third)
        fifth = self.fifth(fourth)
        up4 = self.up4(torch.cat([self.grow(fifth), fourth], 1))
        up3 = self.up3(torch.cat([self.grow(up4), third], 1))
        join4 = self.join4(torch.cat([self.down4(up3), up4], 1))
        return [up3, join4, self.join5(torch.cat([self.down5(join4), fifth], 1))]

    def decoded(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The boxes of an image as corners, [anchors, 4], and their chances by class."""
        boxes, classes = [], []
        for level, box, kind, stride in zip(
            self.levels(image), self.boxes, self.classes, self.STRIDES, strict=True
        ):
            high, wide = level.shape[2:]
            rows = torch.arange(high, dtype=torch.float32) + 0.5
            columns = torch.arange(wide, dtype=torch.float32) + 0.5
            grid = torch.meshgrid(rows, columns, indexing="ij")
            centre = torch.stack([grid[1], grid[0]], -1).reshape(-1, 2)
            chances = box(level).reshape(1, 4, self.BINS, -1).transpose(1, 2).softmax(1)
            sides = functional.conv2d(chances, self.bins).reshape(4, -1)
            near, far = (centre.t() - sides[:2]) * stride, (centre.t() + sides[2:]) * stride
            boxes.append(torch.cat([near, far]).t())
            classes.append(kind(level).reshape(self.CLASSES, -1).t().sigmoid())
        return torch.cat(boxes), torch.cat(classes)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.training:
            return self.decoded(image[:1]) + tuple(self.levels(image))
        boxes, chances = self.decoded(image)
        scores, classes = chances.max(1)
        likely = (scores > 0.85).nonzero().squeeze(1)
        boxes, scores, classes = boxes[likely], scores[likely], classes[likely]
        # Boxes of different classes are moved apart, so that none puts out one of another.
        apart = classes.to(boxes.dtype).unsqueeze(1) * 4096.0
        kept = torch.ops.torchvision.nms(boxes + apart, scores, 0.45)[:100]
        return boxes[kept], scores[kept], classes[kept]


def yolo() -> Case:
    model = lively(YOLO(), torch.randn(4, 3, 128, 160))
    axes = {2: "height", 3: "width"}
    shapes = ((1, 128, 160), (1, 192, 128), (1, 96, 224))
    return Case(model, {"image": axes}, ["boxes", "scores", "classes"], images(*shapes))


MODELS: dict[str, Callable[[], Case]] = {
    "resnet18": resnet18,
    "mobilenet_v3": mobilenet_v3,
    "efficientnet_b0": efficientnet_b0,
    "vit_tiny": vit_tiny,
    "swin_tiny": swin_tiny,
    "convnext_tiny": convnext_tiny,
    "bert_mini": bert_mini,
    "gpt2_mini": gpt2_mini,
    "gpt2_mini_cache": gpt2_mini_cache,
    "whisper_mini": whisper_mini,
    "lstm_tagger": lstm_tagger,
    "unet": unet,
    "yolo": yolo,
}
