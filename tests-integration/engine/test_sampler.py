# SPDX-License-Identifier: Apache-2.0
"""vLLM's own sampler, logits processors, grammar masks and poolers, on the NPU as on the CPU.

Every case runs vLLM's code twice, on the same numbers: on the CPU, which is the oracle, and on the
simulated NPU. Where noise decides, both get the same noise or only one token is left to choose.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import xgrammar
from vllm import SamplingParams
from vllm.config import DeviceConfig, SchedulerConfig, VllmConfig
from vllm.model_executor.layers.pooler.activations import PoolerClassify, PoolerNormalize
from vllm.model_executor.layers.pooler.seqwise.methods import get_seq_pooling_method
from vllm.pooling_params import PoolingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.pool.metadata import PoolingMetadata, PoolingStates
from vllm.v1.sample.logits_processor import (
    BatchUpdate,
    LogitBiasLogitsProcessor,
    LogitsProcessors,
    MinPLogitsProcessor,
    MinTokensLogitsProcessor,
)
from vllm.v1.sample.metadata import SamplingMetadata
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p, sample_with_exponential_noise
from vllm.v1.sample.rejection_sampler import (
    RejectionSampler,
    apply_sampling_constraints,
    generate_uniform_probs,
)
from vllm.v1.sample.sampler import Sampler

# torch_npu says so once per process.
pytestmark = pytest.mark.filterwarnings("ignore:Cannot create tensor with internal format")

BATCH, VOCABULARY = 6, 133
OUTPUT = [[5, 7, 7], [], [1, 2, 3, 4], [100], [7, 8], [9, 9, 9]]
PROMPTS = [[1, 5], [9], [4, 4, 4], [0], [132, 131], [2, 3]]


def logits(rows: int = BATCH, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


def per_request(*values: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype).repeat(BATCH)[:BATCH]


def metadata(device: str, **changes: Any) -> SamplingMetadata:
    """Return what greedy sampling of the batch needs, with `changes`."""
    nothing = torch.zeros(BATCH)
    fields: dict[str, Any] = {
        "temperature": None,
        "all_greedy": True,
        "all_random": False,
        "top_p": None,
        "top_k": None,
        "generators": {},
        "max_num_logprobs": None,
        "no_penalties": True,
        "prompt_token_ids": None,
        "frequency_penalties": nothing,
        "presence_penalties": nothing,
        "repetition_penalties": nothing,
        "output_token_ids": OUTPUT,
        "allowed_token_ids_mask": None,
        "bad_words_token_ids": {},
        "logitsprocs": LogitsProcessors(),
        **changes,
    }
    return SamplingMetadata(
        **{
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in fields.items()
        }
    )


def flat(result: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of an output of vLLM, in order."""
    if isinstance(result, torch.Tensor):
        yield result.cpu()
    elif isinstance(result, list | tuple):
        for item in result:
            yield from flat(item)
    elif result is not None:
        yield from flat(list(vars(result).values()))


def assert_same_on_npu(run: Any) -> None:
    """Check that `run(device)` gives the same on the NPU as on the CPU."""
    expected, actual = list(flat(run("cpu"))), list(flat(run("npu")))
    assert expected
    for got, want in zip(actual, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


GREEDY: dict[str, dict[str, Any]] = {
    "greedy": {},
    "logprobs": {"max_num_logprobs": 5},
    "all logprobs": {"max_num_logprobs": -1},
    "logprobs of tokens": {"logprob_token_ids": {0: [3, 1], 2: [132]}},
    "penalties": {
        "no_penalties": False,
        "prompt_token_ids": torch.tensor([(p * 3)[:3] for p in PROMPTS]),
        "frequency_penalties": per_request(0.0, 0.5, 1.5),
        "presence_penalties": per_request(0.7, 0.0),
        "repetition_penalties": per_request(1.0, 1.3, 2.0),
        "max_num_logprobs": 2,
    },
    "allowed tokens": {
        "allowed_token_ids_mask": (torch.arange(VOCABULARY) % 11 != 0).expand(BATCH, -1)
    },
    "bad words": {"bad_words_token_ids": {0: [[7], [7, 7, 9]], 2: [[3, 4, 5], [1, 2]]}},
}
RANDOM: dict[str, dict[str, Any]] = {
    "temperature": {"top_k": per_request(1, dtype=torch.int32)},
    "mixed with greedy": {
        "temperature": per_request(0.0, 0.8),
        "all_random": False,
        "top_k": per_request(1, dtype=torch.int32),
    },
    "top-p": {"top_p": per_request(1e-6), "max_num_logprobs": 3},
}


@pytest.mark.parametrize("mode", ["raw_logprobs", "raw_logits", "processed_logprobs"])
@pytest.mark.parametrize("case", GREEDY)
def test_greedy_sampling(case, mode):
    assert_same_on_npu(
        lambda device: Sampler(mode)(logits().to(device), metadata(device, **GREEDY[case]))
    )


@pytest.mark.parametrize("case", RANDOM)
def test_random_sampling_of_the_only_candidate(case):
    changes = {
        "temperature": per_request(0.7, 1.3),
        "all_greedy": False,
        "all_random": True,
        **RANDOM[case],
    }
    assert_same_on_npu(lambda device: Sampler()(logits().to(device), metadata(device, **changes)))


@pytest.mark.parametrize("k", [None, per_request(1, 7, VOCABULARY, dtype=torch.int32)])
@pytest.mark.parametrize("p", [None, per_request(0.1, 0.9, 1.0)])
def test_top_k_and_top_p(k, p):
    def run(device: str) -> torch.Tensor:
        limits = [limit if limit is None else limit.to(device) for limit in (k, p)]
        return apply_top_k_top_p(logits().to(device), *limits)

    assert_same_on_npu(run)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_noise_chooses_the_same_token(dtype):
    noise = torch.empty(BATCH, VOCABULARY, dtype=dtype)
    noise.exponential_(generator=torch.Generator().manual_seed(1))
    assert_same_on_npu(
        lambda device: sample_with_exponential_noise(
            logits().softmax(-1).to(device), noise.clone().to(device)
        )
    )


def test_a_request_with_a_seed_repeats_itself_whatever_the_others_do():
    def run(seed: int, others: int) -> list[int]:
        torch.npu.manual_seed(others)
        generators = {i: torch.Generator("npu").manual_seed(seed + i) for i in (1, 4)}
        sampling = metadata(
            "npu",
            temperature=per_request(1.0),
            all_greedy=False,
            all_random=True,
            generators=generators,
        )
        flat_logits = torch.zeros(BATCH, VOCABULARY, device="npu")
        return Sampler()(flat_logits, sampling).sampled_token_ids.flatten().tolist()

    first, second, reseeded = run(seed=1, others=1), run(seed=1, others=2), run(seed=9, others=1)
    seeded = [1, 4]
    assert [first[i] for i in seeded] == [second[i] for i in seeded]
    assert first != second
    assert [first[i] for i in seeded] != [reseeded[i] for i in seeded]


def test_tokens_come_as_often_as_they_are_likely():
    torch.npu.manual_seed(0)
    likely = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    rows = 4000
    sampling = metadata("npu", temperature=torch.ones(rows), all_greedy=False, all_random=True)
    tokens = Sampler()(likely.log().expand(rows, -1).contiguous().npu(), sampling)
    share = torch.bincount(tokens.sampled_token_ids.flatten(), minlength=5).cpu() / rows
    torch.testing.assert_close(share, likely, rtol=0, atol=0.03)


# --- logits processors ----------------------------------------------------------------------------


def updated(processor: Any, requests: dict[int, SamplingParams]) -> Any:
    """Return the processor with requests in the batch."""
    added = [(index, params, PROMPTS[index], OUTPUT[index]) for index, params in requests.items()]
    processor.update_state(BatchUpdate(batch_size=BATCH, removed=(), added=added, moved=()))
    return processor


@pytest.fixture(scope="module")
def config() -> VllmConfig:
    scheduler = SchedulerConfig.default_factory(max_num_seqs=BATCH)
    return VllmConfig(scheduler_config=scheduler, device_config=DeviceConfig("cpu"))


def test_min_p(config):
    requests = {i: SamplingParams(min_p=p) for i, p in enumerate([0.0, 0.1, 0.5, 1.0])}
    assert_same_on_npu(
        lambda device: updated(
            MinPLogitsProcessor(config, torch.device(device), is_pin_memory=device == "npu"),
            requests,
        ).apply(logits().to(device))
    )


def test_logit_bias(config):
    requests = {
        1: SamplingParams(logit_bias={0: 50, 7: -50}),
        5: SamplingParams(logit_bias={132: 9}),
    }
    assert_same_on_npu(
        lambda device: updated(
            LogitBiasLogitsProcessor(config, torch.device(device), False), requests
        ).apply(logits().to(device))
    )


@pytest.mark.parametrize("structured", [False, True])
def test_min_tokens(config, structured):
    def run(device: str) -> torch.Tensor:
        request = SamplingParams(min_tokens=9, stop_token_ids=[3, 20])
        if structured:
            request.structured_outputs = StructuredOutputsParams(regex="a")
        numbers = logits()
        numbers[2] = -torch.inf  # a grammar left the stop tokens only
        numbers[2, [3, 20]] = 1.0
        processor = MinTokensLogitsProcessor(config, torch.device(device), False)
        return updated(processor, {0: request, 2: request}).apply(numbers.to(device))

    assert_same_on_npu(run)


@pytest.mark.parametrize("indices", [None, [0, 3, 5]])
def test_grammar_bitmask(indices):
    words = xgrammar.get_bitmask_shape(BATCH, VOCABULARY)[1]
    random = np.random.default_rng(0).integers(-(2**31), 2**31, (BATCH, words), dtype=np.int32)
    mask = torch.from_numpy(random)

    def run(device: str) -> torch.Tensor:
        numbers = logits().to(device)
        on_device = indices
        if indices is not None and device == "npu":
            on_device = torch.tensor(indices, dtype=torch.int32, device=device)  # as vLLM passes
        xgrammar.apply_token_bitmask_inplace(numbers, mask.to(device), indices=on_device)
        return numbers

    assert_same_on_npu(run)


# --- speculative decoding: what is not a Triton kernel --------------------------------------------


def test_uniform_numbers_of_drafts_follow_the_seeds_of_their_requests():
    def run(seed: int) -> torch.Tensor:
        generators = {1: torch.Generator("npu").manual_seed(seed)}
        return generate_uniform_probs(5, [2, 3, 0], generators, torch.device("npu")).cpu()

    first, second = run(1), run(1)
    assert torch.equal(first[2:], second[2:])
    assert not torch.equal(first[:2], second[:2])
    assert ((first >= 0) & (first < 1)).all()


def test_penalties_of_drafts():
    counts = [2, 0, 1, 3, 0, 1]
    sampling = {
        **GREEDY["penalties"],
        "output_token_ids": [OUTPUT[i] for i, n in enumerate(counts) for _ in range(n)],
    }
    repeat = torch.repeat_interleave(torch.tensor(counts))

    def run(device: str) -> torch.Tensor:
        return RejectionSampler.apply_penalties(
            logits(len(repeat)).to(device),
            metadata(device, **sampling),
            None,
            repeat.to(device),
            sampling["output_token_ids"],
        )

    assert_same_on_npu(run)


def test_greedy_drafts_keep_their_logits():
    numbers = logits(3)
    cumulative = torch.tensor([1, 3])
    assert_same_on_npu(
        lambda device: apply_sampling_constraints(
            numbers.to(device), cumulative.to(device), metadata(device)
        )
    )


# --- pooling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("method", ["CLS", "LAST", "MEAN"])
def test_pooling(method, dtype):
    lengths = [3, 1, 4]
    hidden = torch.randn(sum(lengths), 16, generator=torch.Generator().manual_seed(0)).to(dtype)

    def run(device: str) -> list[torch.Tensor]:
        pooling = PoolingMetadata(
            prompt_lens=torch.tensor(lengths),
            prompt_token_ids=None,
            prompt_token_ids_cpu=None,
            pooling_params=[PoolingParams(task="embed") for _ in lengths],
            pooling_states=[PoolingStates() for _ in lengths],
        )
        scheduled = np.array(lengths)
        pooling.build_pooling_cursor(
            scheduled, seq_lens_cpu=torch.tensor(lengths), device=torch.device(device)
        )
        pooled = get_seq_pooling_method(method)(hidden.to(device), pooling)
        rows = torch.stack(list(pooled)).float()
        return [rows, PoolerNormalize()(rows), PoolerClassify(num_labels=16)(rows)]

    assert_same_on_npu(run)
