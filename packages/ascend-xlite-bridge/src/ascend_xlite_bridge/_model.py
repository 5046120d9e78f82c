# SPDX-License-Identifier: Apache-2.0
"""A decoder that the engine runs."""

import ctypes
import logging
from collections.abc import Sequence
from typing import Any, Self

import torch
from ascend_core import acl
from torch import nn

from ascend_xlite_bridge._decoder.decoder import XliteDecoder
from ascend_xlite_bridge._decoder.limits import XliteRun, check_run
from ascend_xlite_bridge._engine_config import engine_config
from ascend_xlite_bridge._kv_cache import check_kv_cache
from ascend_xlite_bridge._library import load_engine
from ascend_xlite_bridge._modules import find_modules
from ascend_xlite_bridge._npu import npu, raw_stream
from ascend_xlite_bridge._rope import rope_table
from ascend_xlite_bridge._step import DeviceStep, HostStep, check_step, padded_tokens
from ascend_xlite_bridge._tensor_checks import check_tensor
from ascend_xlite_bridge._weights import XliteWeights, collect_weights
from ascend_xlite_bridge.errors import (
    XliteClosedError,
    XliteReplacedWeightError,
    XliteStepError,
    XliteUnavailableError,
)

__all__ = ["XliteModel"]

_log = logging.getLogger(__name__)

_SORTED_EXPERTS = 128  # [S] the kernel that chooses experts merges four sorted runs of 32


class XliteModel:
    """A loaded decoder, run by xlite. Made by `create`; closed by `close` or at the end of `with`.

    The engine keeps addresses and counts nothing. This object holds every tensor that it gave to
    the engine until it is closed, and those of a step until the next one.

    It is used by one thread at a time, on whatever stream is current there. A step cannot be
    captured into an ACL graph.
    """

    def __init__(
        self,
        engine: Any,
        model: Any,
        runtime: Any,
        *,
        decoder: XliteDecoder,
        run: XliteRun,
        weights: XliteWeights,
        table: torch.Tensor,
        pool_mebibytes: int,
    ) -> None:
        self.decoder = decoder
        self.run = run
        self.device = table.device
        self.pool_mebibytes = pool_mebibytes
        """Memory of the device that the engine has taken for itself, beside torch's allocator."""
        self._engine = engine
        self._model = model
        self._runtime = runtime
        self._weights = weights
        self._table = table
        self._caches: list[list[torch.Tensor]] = []
        self._num_blocks = 0
        self._num_requests = 0
        self._has_host_buffers: bool | None = None  # the first step decides
        self._held: tuple[object, ...] = ()
        self._no_features: torch.Tensor | None = None
        if decoder.num_deepstack_layers:  # made here, where memory is planned
            size = (run.max_tokens, decoder.hidden_size)
            self._no_features = torch.zeros(size, dtype=decoder.dtype, device=self.device)

    @classmethod
    def create(
        cls,
        module: nn.Module,
        config: Any,
        run: XliteRun,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.bfloat16,
        table: torch.Tensor | None = None,
    ) -> Self:
        """Hand a loaded decoder over to the engine.

        Parameters
        ----------
        module
            The model, of vLLM or of transformers. Its weights are shared, not copied, where they
            are on the device in the form that the engine takes.
        config
            Of transformers, for the whole model.
        run
            How it is to be run; the engine's memory is planned and taken here.
        device
            With an index, as `torch.device("npu:0")`. It becomes the current one.
        dtype
            Of the weights.
        table
            Rotations to use instead of those of the module's own rotary embedding: shape
            (max_seq_len, rotary_dim), the cosines of half a head and then the sines; float32 or
            `dtype`.

        Raises
        ------
        XliteUnavailableError
            If xlite is not there, or does not fit this machine, Python, chip or torch.
        XliteUnsupportedError
            If xlite does not compute this model, or not in this way.
        XliteWeightError
            If a tensor is not what the engine would take it for.
        """
        engine = load_engine()
        check_run(config, dtype, run)
        decoder = XliteDecoder.from_config(config, dtype)
        if decoder.num_experts not in (0, _SORTED_EXPERTS):
            _log.warning(
                "xlite's choice of experts was written for %d of them; %d have not been tried",
                _SORTED_EXPERTS,
                decoder.num_experts,
            )
        npu().set_device(device)
        modules = find_modules(module, decoder.num_layers)
        weights = collect_weights(modules, decoder, run.ranks, device)
        if table is None:
            table = rope_table(modules, decoder, run.max_seq_len, device)
        else:
            shape = (run.max_seq_len, decoder.rotary_dim)
            check_tensor(table, "table", shape, (torch.float32, dtype), device)
        model = engine.Model()
        for field, value in weights.tensors.items():
            setattr(model, field, value)
        model.init(engine_config(engine, decoder, run, weights), run.ranks.rank)
        pool = _pool_mebibytes(model, device)
        runtime = _runtime(engine, run, device, pool)
        _check_product(engine, runtime, device)
        return cls(
            engine,
            model,
            runtime,
            decoder=decoder,
            run=run,
            weights=weights,
            table=table,
            pool_mebibytes=pool,
        )

    def check_weights(self, module: nn.Module) -> None:
        """Check that a decoder still has the tensors that the engine reads; values may be others.

        Parameters
        ----------
        module
            What was handed over, of vLLM. Tensors that were copied for the engine, as those of
            transformers and the scales of 8 bits, count as replaced: new values do not reach it.

        Raises
        ------
        XliteReplacedWeightError
            If it has others.
        XliteWeightError
            If one of them is not what the engine would take it for.
        """
        modules = find_modules(module, self.decoder.num_layers)
        found = collect_weights(modules, self.decoder, self.run.ranks, self.device)
        if field := self._weights.first_other(found):
            raise XliteReplacedWeightError(field)

    def bind_kv_cache(self, caches: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Say where keys and values are kept; must come before the first step.

        Parameters
        ----------
        caches
            Keys and values of each layer: shape (blocks, block_size, key and value heads of the
            rank, head_dim). Blocks may lie apart, as in `cache[:, 0]`.

        Raises
        ------
        XliteWeightError
            If one does not fit.
        """
        self._check_open()
        self._num_blocks = check_kv_cache(caches, self.decoder, self.run, self.device)
        self._caches = [list(pair) for pair in caches]

    def forward(
        self,
        step: HostStep | DeviceStep,
        *,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        deepstack: Sequence[torch.Tensor] = (),
        may_overwrite: bool = False,
        out: torch.Tensor | None = None,
        group_tokens: int | None = None,
    ) -> torch.Tensor:
        """Compute a step on the current stream.

        Parameters
        ----------
        step
            Which tokens of which requests. A `HostStep` after a `DeviceStep` needs an earlier one.
        input_ids
            On the device, shape (tokens), int32 (others are converted). Not for a model that sees.
        inputs_embeds
            Instead of it: on the device, shape (tokens, hidden_size).
        deepstack
            Features of an image for the first layers, each of the shape of `inputs_embeds`, and
            zero for other tokens; none stands for zeros.
        may_overwrite
            Whether the engine, which computes in the memory of `inputs_embeds`, may have it;
            otherwise it gets a copy.
        out
            Where the result goes: shape (tokens, hidden_size), or (group_tokens, hidden_size).
        group_tokens
            Of a model with experts that data-parallel ranks share: the most tokens of any of them
            in this step, the same number on all. Each of them must take the step, one without
            requests with a token that nobody asked for.

        Returns
        -------
        torch.Tensor
            Shape (tokens, hidden_size): hidden states after the last norm; the first rows of `out`
            if there is one.

        Raises
        ------
        XliteStepError
            If the inputs do not fit. Nothing was launched.
        XliteClosedError
            If the model is closed.
        """
        self._check_open()
        if not self._caches:
            raise XliteStepError("order", "bind_kv_cache comes before the first step")
        tokens = check_step(step, self.decoder, self.run, self._num_blocks)
        is_device = isinstance(step, DeviceStep)
        if not is_device and self._has_host_buffers is False:
            raise XliteStepError(
                "form",
                "the first step of this model was a DeviceStep, so that the engine has no buffers "
                "for a HostStep; begin with one to use both",
            )
        shape = (tokens, self.decoder.hidden_size)
        # The engine pads what it exchanges with other ranks to the rows of its output.
        rows = padded_tokens(tokens, group_tokens, self.decoder, self.run)
        padded = (rows, self.decoder.hidden_size)
        if out is None:
            out = torch.empty(padded, dtype=self.decoder.dtype, device=self.device)
        self._check_hidden("out", out, padded)
        options: dict[str, Any] = {}
        table: Any = self._table
        if inputs_embeds is not None:
            values = self._embeds(inputs_embeds, shape, may_overwrite)
            options["deepstack_input"] = self._features(deepstack, shape)
            name = "forward_with_inputs_embeds"
        else:
            values = self._ids(input_ids, tokens)
            table = [table] if is_device else table
            name = "forward"
        function = getattr(self._model, f"{name}_v2" if is_device else name)
        meta = step.metadata(self._engine)
        self._held = (step, values, options, out)
        # Read last: it drains the queue in which torch_npu launches, which the engine passes by.
        stream = self._stream()
        function(
            self._runtime, values, meta, self._caches, table, out, curr_stream=stream, **options
        )
        self._num_requests = len(step.host_lens[0])
        if self._has_host_buffers is None:
            self._has_host_buffers = not is_device
        return out if padded == shape else out[:tokens]

    def logits(self, hidden: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Project hidden states of the last step to the vocabulary.

        Parameters
        ----------
        hidden
            Shape (tokens, hidden_size).
        rows
            On the device, integers: one row of `hidden` for each request of the last step, which
            the engine counts on.

        Returns
        -------
        torch.Tensor
            Shape (requests, vocab_size), in the type of the model, the same on all ranks.

        Raises
        ------
        XliteStepError
            If there are more or fewer rows than requests.
        """
        self._check_open()
        requests, ranks = self._num_requests, self.run.ranks.tp_size
        if not requests or tuple(rows.shape) != (requests,):
            raise XliteStepError("rows", f"{list(rows.shape)}, expected one of each of {requests}")
        # Gathered here: the engine ignores its indices if there are as many rows as requests.
        chosen = hidden.index_select(0, rows)
        self._check_hidden("hidden", chosen, (requests, self.decoder.hidden_size))
        indices = torch.arange(requests, dtype=torch.int32, device=self.device)
        size = (ranks, requests, self._weights.vocab_rows)
        parts = torch.empty(size, dtype=self.decoder.dtype, device=self.device)
        self._held = (chosen, indices, parts)
        stream = self._stream()
        self._model.forward_get_logits(self._runtime, chosen, indices, parts, curr_stream=stream)
        return parts.transpose(0, 1).flatten(1)[:, : self.decoder.vocab_size]

    def wait(self) -> None:
        """Wait until the steps of this rank have ended."""
        npu().synchronize(self.device)

    def close(self) -> None:
        """Wait for the device, and give back the engine's memory. Doing it again does nothing.

        Ranks of a tensor-parallel group read each other's memory: close one only when the last step
        of all of them has ended, which `wait` on each of them tells.
        """
        if self._runtime is None:
            return
        self.wait()
        self._model = self._runtime = None
        self._caches, self._held, self._no_features = [], (), None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._runtime is None:
            raise XliteClosedError

    def _check_hidden(self, name: str, tensor: torch.Tensor, shape: tuple[int, int]) -> None:
        is_fitting = tensor.dtype == self.decoder.dtype and tuple(tensor.shape) == shape
        if not is_fitting or tensor.device != self.device or not tensor.is_contiguous():
            raise XliteStepError(
                name,
                f"{list(tensor.shape)} of {tensor.dtype} on {tensor.device} with strides "
                f"{tensor.stride()}, expected contiguous {list(shape)} of {self.decoder.dtype} on "
                f"{self.device}",
            )

    def _ids(self, ids: torch.Tensor | None, tokens: int) -> torch.Tensor:
        if ids is None:
            raise XliteStepError("input", "neither input_ids nor inputs_embeds is given")
        if self.decoder.num_deepstack_layers:
            raise XliteStepError("input_ids", "a model that sees takes inputs_embeds")
        if tuple(ids.shape) != (tokens,) or ids.device != self.device:
            raise XliteStepError(
                "input_ids", f"{list(ids.shape)} on {ids.device}, expected [{tokens}]"
            )
        if ids.dtype == torch.int32 and ids.is_contiguous():  # as in most steps
            return ids
        return ids.to(torch.int32).contiguous()  # the kernel reads 32 bits, whatever they are

    def _embeds(
        self, embeds: torch.Tensor, shape: tuple[int, int], may_overwrite: bool
    ) -> torch.Tensor:
        self._check_hidden("inputs_embeds", embeds, shape)
        return embeds if may_overwrite else embeds.clone()

    def _features(
        self, deepstack: Sequence[torch.Tensor], shape: tuple[int, int]
    ) -> list[torch.Tensor]:
        layers = self.decoder.num_deepstack_layers
        if not deepstack and self._no_features is not None:
            return [self._no_features[: shape[0]]] * layers
        if len(deepstack) != layers:
            raise XliteStepError("deepstack", f"{len(deepstack)} layers, expected {layers}")
        for features in deepstack:
            self._check_hidden("deepstack", features, shape)
        return list(deepstack)

    def _stream(self) -> int:
        if npu().is_current_stream_capturing():
            raise XliteStepError("stream", "it is being captured, and xlite cannot be")
        return raw_stream(self.device.index)


def _pool_mebibytes(model: Any, device: torch.device) -> int:
    # It makes a runtime for the purpose, whose end resets the device without having set it.
    acl.call("aclrtSetDevice", ctypes.c_int32(device.index))
    return int(model.get_tensor_pool_size())


def _runtime(engine: Any, run: XliteRun, device: torch.device, pool: int) -> Any:
    ranks = run.ranks
    runtime = engine.Runtime(
        *(device.index, 0, ranks.rank, ranks.tp_size, ranks.dp_size),
        *(ranks.moe_tp_size, ranks.moe_ep_size),
    )
    if code := runtime.init_tensor_pool(pool):
        raise XliteUnavailableError(
            f"its pool of {pool} MiB could not be made on {device} (code {code})",
            "Lower the number of tokens, of requests or the length of texts",
        )
    return runtime


def _check_product(engine: Any, runtime: Any, device: torch.device) -> None:
    """Compare a small product with torch's: without kernels for a chip, the engine gives zeros."""
    x = torch.arange(16 * 32).view(16, 32).remainder(7).to(torch.bfloat16).to(device)
    w = torch.arange(48 * 32).view(48, 32).remainder(5).to(torch.bfloat16).to(device)
    found, expected = (torch.zeros(16, 48, dtype=torch.bfloat16).to(device) for _ in range(2))
    torch.mm(x, w.T, out=expected)
    npu().synchronize(device)
    engine.matmul(runtime, x, w, found)
    npu().synchronize(device)
    if not torch.equal(found.cpu(), expected.cpu()):
        raise XliteUnavailableError(
            f"it computes a wrong product on {device}",
            "See what it printed above, and whether CANN and the chip are those it was built for",
        )
