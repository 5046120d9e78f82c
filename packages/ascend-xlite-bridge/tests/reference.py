# SPDX-License-Identifier: Apache-2.0
"""Hidden states of texts, by transformers on the CPU and by xlite."""

from dataclasses import dataclass
from typing import Any

import torch
from driver import Requests
from models import text_model

from ascend_xlite_bridge import XliteModel

__all__ = ["Texts", "by_transformers", "by_xlite"]

PROMPTS = (37, 5, 130)
DECODED = 12


@dataclass(frozen=True)
class Texts:
    """Tokens of some requests: prompts, and as many more tokens of each that are decoded.

    Parameters
    ----------
    ids
        Of each request.
    positions
        Of each request: shape (tokens), or (3, tokens) of a model that sees.
    features
        Of each request: for the first layers, shape (tokens, hidden_size), zero but for an image.
    """

    ids: list[torch.Tensor]
    positions: list[torch.Tensor]
    features: list[list[torch.Tensor]]

    @classmethod
    def random(cls, config: Any, prompts: tuple[int, ...] = PROMPTS) -> "Texts":
        """Make texts, with an image of 4 by 4 in each of a model that sees."""
        generator = torch.Generator().manual_seed(5)
        text = getattr(config, "text_config", config)
        lengths = [prompt + DECODED for prompt in prompts]
        ids = [torch.randint(text.vocab_size, (n,), generator=generator) for n in lengths]
        if text is config:
            return cls(ids, [torch.arange(n) for n in lengths], [[] for _ in lengths])
        positions = [_positions_with_image(n) for n in lengths]
        layers = len(config.vision_config.deepstack_visual_indexes)
        features = [
            [_features(n, text.hidden_size, generator) for _ in range(layers)] for n in lengths
        ]
        return cls(ids, positions, features)


def _positions_with_image(length: int) -> torch.Tensor:
    """Token 1 begins an image of 16 tokens, with one time and rows and columns, if it fits."""
    planes = torch.arange(length).expand(3, -1).clone()
    if length < 30:
        return planes
    cell = torch.arange(16)
    planes[:, 1:17] = 1 + torch.stack([torch.zeros_like(cell), cell // 4, cell % 4])
    planes[:, 17:] = torch.arange(5, length - 12)
    return planes


def _features(length: int, size: int, generator: torch.Generator) -> torch.Tensor:
    features = torch.zeros(length, size, dtype=torch.bfloat16)
    if length >= 30:
        features[1:17] = torch.randn(16, size, generator=generator) * 0.5
    return features


@torch.no_grad()
def by_transformers(model: torch.nn.Module, texts: Texts) -> list[torch.Tensor]:
    """Compute each text at once, without a cache; shape (tokens, hidden_size), float32."""
    trunk = text_model(model)
    results = []
    for ids, positions, features in zip(texts.ids, texts.positions, texts.features, strict=True):
        if not features:
            out = trunk(ids[None], use_cache=False)
        else:
            out = trunk(
                inputs_embeds=trunk.embed_tokens(ids[None]),
                position_ids=positions[:, None],
                visual_pos_masks=torch.ones(1, len(ids), dtype=torch.bool),
                deepstack_visual_embeds=features,
                use_cache=False,
            )
        results.append(out.last_hidden_state[0].float())
    return results


def by_xlite(
    model: XliteModel,
    texts: Texts,
    form: str,
    prefills: int = 1,
    is_embedded: bool = False,
    widest: tuple[int, ...] = (),
) -> list[torch.Tensor]:
    """Compute the prompts in some steps, and then token by token, all requests at once.

    Parameters
    ----------
    model
        With a KV cache.
    texts
        What to compute.
    form
        "host" or "device": where lengths and block tables are.
    prefills
        Steps in which the prompts are computed.
    is_embedded
        Whether the engine gets embeddings, as it always does of a model that sees.
    widest
        Prompts of the data-parallel rank with the most tokens, if there are others.
    """
    requests = Requests(model, len(texts.ids))
    results: list[list[torch.Tensor]] = [[] for _ in texts.ids]
    group_tokens = [sum(lens) for lens in _steps(list(widest), prefills)] if widest else None
    for i, lens in enumerate(_steps([len(ids) - DECODED for ids in texts.ids], prefills)):
        padded = None if group_tokens is None else group_tokens[i]
        spans = [slice(at, at + n) for at, n in zip(requests.cached, lens, strict=True)]
        hidden = _step(model, requests, texts, spans, lens, form, is_embedded, padded)
        for result, part in zip(results, hidden.cpu().split(lens), strict=True):
            result.append(part.float())
        requests.advance(lens)
    return [torch.cat(result) for result in results]


def _steps(prompts: list[int], prefills: int) -> list[list[int]]:
    parts = [
        [n * (i + 1) // prefills - n * i // prefills for n in prompts] for i in range(prefills)
    ]
    return parts + [[1] * len(prompts)] * DECODED


def _step(
    model: XliteModel,
    requests: Requests,
    texts: Texts,
    spans: list[slice],
    lens: list[int],
    form: str,
    is_embedded: bool,
    group_tokens: int | None,
) -> torch.Tensor:
    ids = torch.cat([t[span] for t, span in zip(texts.ids, spans, strict=True)]).to(model.device)
    if form == "device":
        step = requests.device_step(lens)
    elif texts.positions[0].dim() == 2:
        planes = [p[:, span] for p, span in zip(texts.positions, spans, strict=True)]
        step = requests.host_step(lens, torch.cat(planes, 1).contiguous())
    else:
        step = requests.host_step(lens)
    if not is_embedded and not texts.features[0]:
        return model.forward(step, input_ids=ids, group_tokens=group_tokens)
    deepstack = [
        torch.cat([layers[i][span] for layers, span in zip(texts.features, spans, strict=True)])
        for i in range(len(texts.features[0]))
    ]
    embedded = torch.nn.functional.embedding(ids, model._weights.tensors["embed"])
    features = [each.to(model.device) for each in deepstack]
    return model.forward(step, inputs_embeds=embedded, deepstack=features)
