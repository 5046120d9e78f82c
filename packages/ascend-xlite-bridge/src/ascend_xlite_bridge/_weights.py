# SPDX-License-Identifier: Apache-2.0
"""The tensors that the engine gets, taken from a loaded decoder row by row and checked."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from ascend_xlite_bridge._decoder.decoder import XliteDecoder
from ascend_xlite_bridge._decoder.families import WeightRow
from ascend_xlite_bridge._decoder.quantization import engine_scales
from ascend_xlite_bridge._decoder.ranks import XliteRanks
from ascend_xlite_bridge._modules import DecoderModules
from ascend_xlite_bridge._npu import is_nz
from ascend_xlite_bridge._tensor_checks import check_tensor
from ascend_xlite_bridge.errors import XliteWeightError

__all__ = ["XliteWeights", "collect_weights"]

_log = logging.getLogger(__name__)

_SCALED_MULTIPLE = 16  # [S] the kernel that scales sums moves blocks of 32 bytes

_LACKED = {
    "bias": "xlite has no field for this bias",
    "sinks": "xlite has no attention sinks",
    "lora_a": "xlite has no LoRA adapters",
    "qweight": "xlite takes no GPTQ or AWQ weights",
    "weight_packed": "xlite takes no packed weights",
    "weight_scale": "it scales quantized weights, and they, or the config, do not say so",
    "zero_point": "xlite's weights of 8 bits are symmetric",
}
"""Parts of names of parameters that would be left out, and what that means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XliteWeights:
    """What the engine gets; it keeps addresses, so this owner must outlive it.

    Parameters
    ----------
    tensors
        By attribute of the engine's model: one tensor, or a list (layers, or experts of each layer
        in turn).
    vocab_rows
        Rows of the vocabulary of this rank. The engine cuts a vocabulary of `vocab_rows` times the
        ranks; what is beyond the model's own is padding.
    are_nz
        Whether products have their weights in the format FRACTAL_NZ.
    are_experts_nz, are_experts_transposed
        The format of experts, and whether they are [in, out] instead of [out, in].
    is_gate_nz
        The format of the gate of the experts.
    """

    tensors: Mapping[str, torch.Tensor | list[torch.Tensor]]
    vocab_rows: int
    are_nz: bool
    are_experts_nz: bool
    are_experts_transposed: bool
    is_gate_nz: bool

    def first_other(self, others: "XliteWeights") -> str | None:
        """Name the first tensor that lies elsewhere in `others`; None if all are the same."""
        for field, mine in self.tensors.items():
            if _addresses(mine) != _addresses(others.tensors[field]):
                return field
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A tensor of a row, and how an error names it."""

    tensor: torch.Tensor
    name: str
    row: WeightRow


def collect_weights(
    modules: DecoderModules, decoder: XliteDecoder, ranks: XliteRanks, device: torch.device
) -> XliteWeights:
    """Take the weights of a decoder, as its family's table says.

    Parameters
    ----------
    modules
        Of the loaded decoder. vLLM's are taken as they are and must be on the device; those of
        Hugging Face are cut for the rank, put together and copied where needed.
    decoder
        What it is.
    ranks
        How it is divided.
    device
        Where the engine runs.

    Raises
    ------
    XliteWeightError
        If a tensor is missing, has another shape, type, device, order in memory or format than the
        engine takes it for, or if one would be left out that changes the result.
    """
    rows = decoder.family.rows
    found = {row.field: list(_find_all(row, modules, decoder, ranks, device)) for row in rows}
    scaled = [row for row in rows if decoder.is_quantized and _has_8_bits(found[row.field])]
    scales = {
        each.field: list(_find_all(each, modules, decoder, ranks, device))
        for each in (row.of_scales() for row in scaled)
    }
    _check_rest(modules, rows + tuple(row.of_scales() for row in scaled))
    vocab_rows = found["embed"][0].tensor.shape[0]
    if vocab_rows * ranks.tp_size < decoder.vocab_size:
        raise XliteWeightError(
            found["embed"][0].name,
            f"{vocab_rows} rows on each of {ranks.tp_size} ranks do not hold a vocabulary of "
            f"{decoder.vocab_size}",
        )
    sizes = decoder.sizes(ranks, vocab_rows)
    transposed = _are_transposed(found, sizes)
    for each in (each for row in found.values() for each in row):
        dims = [sizes[name] for name in each.row.shape]
        if each.row.per == "expert":
            dims = dims[::-1] if transposed else dims
            dims.insert(0, len(ranks.local_experts(decoder.num_experts)))
        dtypes = (decoder.dtype, torch.float32) if each.row.takes_float32 else (decoder.dtype,)
        dtypes = (torch.int8,) if each.row in scaled else dtypes
        check_tensor(each.tensor, each.name, tuple(dims), dtypes, device)
    for each in (each for row in scales.values() for each in row):
        outputs = sizes[each.row.shape[0]]
        if outputs % _SCALED_MULTIPLE:
            raise XliteWeightError(
                each.name, f"xlite scales {_SCALED_MULTIPLE} outputs at once, and it has {outputs}"
            )
        heads = each.tensor.shape[:-2]
        floats = (torch.float32, decoder.dtype)
        check_tensor(each.tensor, each.name, (*heads, outputs, 1), floats, device)
    are_nz, are_experts_nz, is_gate_nz = _formats(found)
    return XliteWeights(
        tensors={field: _hand_over(row) for field, row in found.items()}
        | {field: _hand_over(_engine_form(row)) for field, row in scales.items()},
        vocab_rows=vocab_rows,
        are_nz=are_nz,
        are_experts_nz=are_experts_nz,
        are_experts_transposed=transposed,
        is_gate_nz=is_gate_nz,
    )


def _has_8_bits(row: list[_Found]) -> bool:
    """Tell whether a row's weights have 8 bits; those of all layers must agree."""
    if row[0].row.scales is None:
        return False
    kinds = {each.tensor.dtype == torch.int8: each.name for each in row}
    if len(kinds) > 1:
        raise XliteWeightError(
            kinds[False],
            f"it does not have 8 bits, and {kinds[True]} does; xlite takes all or none",
        )
    return next(iter(kinds))


def _engine_form(scales: list[_Found]) -> list[_Found]:
    return [replace(each, tensor=engine_scales(each.tensor)) for each in scales]


def _find_all(
    row: WeightRow,
    modules: DecoderModules,
    decoder: XliteDecoder,
    ranks: XliteRanks,
    device: torch.device,
) -> Iterator[_Found]:
    layers = (None,) if row.per == "model" else modules.layers
    for index, layer in enumerate(layers):
        paths = row.fused if modules.is_fused else row.unfused
        where = "" if layer is None else f"layers.{index}."
        name = f"{row.field} ({where}{paths[0]})"
        tensors = [tensor for p in paths if (tensor := modules.find(p, layer)) is not None]
        if not tensors or (not modules.is_fused and len(tensors) != len(paths)):
            tried = ", ".join(f"{where}{path}" for path in paths)
            raise XliteWeightError(row.field, f"the module has no {tried}")
        if modules.is_fused:
            yield _Found(tensors[0], name, row)
            continue
        parts = [
            _cut(tensor, row, decoder, ranks, is_kv=row.kv_from is not None and i >= row.kv_from)
            for i, tensor in enumerate(tensors)
        ]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        yield _Found(whole.to(device).contiguous(), name, row)


def _cut(
    tensor: torch.Tensor, row: WeightRow, decoder: XliteDecoder, ranks: XliteRanks, is_kv: bool
) -> torch.Tensor:
    """Return a rank's part of an unfused tensor."""
    size, rank, dim = ranks.tp_size, ranks.tp_rank, row.cut
    if row.per == "expert":
        experts = ranks.local_experts(decoder.num_experts)
        tensor = tensor[experts.start : experts.stop]
        size, rank = ranks.moe_tp_size, ranks.rank % ranks.moe_tp_size
        dim = None if dim is None else dim + 1
    if dim is None or size == 1:
        return tensor
    if row.per == "model":  # the vocabulary, which need not divide
        each = -(-tensor.shape[0] // size)
        part = tensor[rank * each : (rank + 1) * each]
        return torch.cat([part, part.new_zeros(each - len(part), *part.shape[1:])])
    pieces = min(size, decoder.num_kv_heads) if is_kv else size
    stacked = tensor.chunk(row.stacked, dim)
    return torch.cat([each.chunk(pieces, dim)[rank * pieces // size] for each in stacked], dim)


def _are_transposed(found: Mapping[str, list[_Found]], sizes: Mapping[str, int]) -> bool:
    """Tell how experts lie. Both products must agree, so that no sizes leave it open."""
    experts = [each for row in found.values() for each in row[:1] if each.row.per == "expert"]
    shapes = [tuple(sizes[name] for name in each.row.shape) for each in experts]
    pairs = list(zip(experts, shapes, strict=True))
    return bool(pairs) and all(tuple(e.tensor.shape[1:]) == shape[::-1] for e, shape in pairs)


def _formats(found: Mapping[str, list[_Found]]) -> tuple[bool, bool, bool]:
    """Tell the formats of products, experts and the gate; those of a kind must agree."""
    linear = [each for row in found.values() for each in row if each.row.is_linear]
    gates = [each for each in linear if each.row.takes_float32]
    experts = [each for each in linear if each.row.per == "expert"]
    others = [each for each in linear if each not in (*gates, *experts)]
    are_nz, is_gate_nz = _agreed(others), _agreed(gates)
    are_experts_nz = _agreed(experts) if experts else are_nz
    if is_gate_nz and not are_nz:
        raise XliteWeightError(gates[0].name, "it is in the format FRACTAL_NZ, and others are not")
    if are_nz and not are_experts_nz:
        raise XliteWeightError(experts[0].name, "it is not in the format FRACTAL_NZ as others are")
    return are_nz, are_experts_nz, is_gate_nz


def _agreed(found: Iterable[_Found]) -> bool:
    formats = {is_nz(each.tensor): each.name for each in found}
    if len(formats) > 1:
        raise XliteWeightError(
            formats[False],
            f"it is not in the format FRACTAL_NZ, and {formats[True]} is; xlite takes all or none",
        )
    return next(iter(formats), False)


def _hand_over(row: list[_Found]) -> torch.Tensor | list[torch.Tensor]:
    match row[0].row.per:
        case "model":
            return row[0].tensor
        case "layer":
            return [each.tensor for each in row]
        case "expert":
            return [expert for each in row for expert in each.tensor.unbind()]


def _addresses(tensors: torch.Tensor | list[torch.Tensor]) -> list[int]:
    return [each.data_ptr() for each in (tensors if isinstance(tensors, list) else [tensors])]


def _check_rest(modules: DecoderModules, rows: tuple[WeightRow, ...]) -> None:
    """Look at the parameters that no row takes: what they would have done is left out."""
    taken = {path for row in rows for path in (row.fused if modules.is_fused else row.unfused)}
    unknown: dict[str, None] = {}  # in order, each once
    for index, layer in enumerate(modules.layers):
        for name, _ in layer.named_parameters():
            if name in taken:
                continue
            for part, meaning in _LACKED.items():
                if any(part in each for each in name.lower().split(".")):
                    raise XliteWeightError(f"layers.{index}.{name}", meaning)
            unknown[name] = None
    if unknown:
        _log.warning("xlite leaves out parameters that are not known: %s", ", ".join(unknown))
