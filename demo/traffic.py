# SPDX-License-Identifier: Apache-2.0
"""Concurrent chat and completion requests, and what came back."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from openai import AsyncOpenAI

from demo.model import PLAIN_EVERY
from demo.server import MODEL_NAME

__all__ = ["Answer", "Traffic", "send"]

_MAX_TOKENS = 80
_EXTRA = {"return_token_ids": True}


@dataclass(frozen=True)
class Answer:
    """One request and its answer."""

    kind: str
    """`chat`, `stream` or `completion`."""
    question: str
    text: str
    prompt_ids: list[int]
    token_ids: list[int]


@dataclass(frozen=True)
class Traffic:
    """All answers, and how long they took together."""

    answers: list[Answer]
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens per second over all concurrent requests."""
        return sum(len(a.token_ids) for a in self.answers) / self.seconds


def send(url: str, questions: Sequence[str], *, chat: bool) -> Traffic:
    """Send all questions at once, greedily decoded; the first is streamed.

    Parameters
    ----------
    url
        Address of the server.
    questions
        Every question is sent as a chat request, those learnt without a template also as a
        completion.
    chat
        False for a model without a chat template: completions only.
    """
    return asyncio.run(_send(url, questions, chat))


async def _send(url: str, questions: Sequence[str], chat: bool) -> Traffic:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=600) as client:
        if chat:
            requests = [_stream(client, questions[0])]
            requests += [_chat(client, q) for q in questions[1:]]
            requests += [_completion(client, q) for q in questions[::PLAIN_EVERY]]
        else:
            requests = [_completion(client, q) for q in questions]
        started = time.monotonic()
        answers = await asyncio.gather(*requests)
        return Traffic(list(answers), time.monotonic() - started)


async def _chat(client: AsyncOpenAI, question: str) -> Answer:
    response = await client.chat.completions.create(
        model=MODEL_NAME,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=_MAX_TOKENS,
        extra_body=_EXTRA,
    )
    choice = response.choices[0].model_dump()
    return Answer(
        kind="chat",
        question=question,
        text=choice["message"]["content"],
        prompt_ids=response.model_dump()["prompt_token_ids"],
        token_ids=choice["token_ids"],
    )


async def _stream(client: AsyncOpenAI, question: str) -> Answer:
    stream = await client.chat.completions.create(
        model=MODEL_NAME,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=_MAX_TOKENS,
        stream=True,
        extra_body=_EXTRA,
    )
    prompt_ids: list[int] = []
    token_ids: list[int] = []
    text = ""
    async for chunk in stream:
        part = chunk.model_dump()
        prompt_ids = part.get("prompt_token_ids") or prompt_ids
        for choice in part["choices"]:
            text += choice["delta"].get("content") or ""
            token_ids += choice.get("token_ids") or []
    return Answer("stream", question, text, prompt_ids, token_ids)


async def _completion(client: AsyncOpenAI, question: str) -> Answer:
    response = await client.completions.create(
        model=MODEL_NAME,
        prompt=question,
        temperature=0,
        max_tokens=_MAX_TOKENS,
        extra_body=_EXTRA,
    )
    choice = response.choices[0].model_dump()
    return Answer(
        kind="completion",
        question=question,
        text=choice["text"],
        prompt_ids=choice["prompt_token_ids"],
        token_ids=choice["token_ids"],
    )
