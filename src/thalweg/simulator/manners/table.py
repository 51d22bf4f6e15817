"""All manners by name."""

from __future__ import annotations

from thalweg.simulator.manners.base import Manner
from thalweg.simulator.manners.rows.aggregator import AGGREGATOR
from thalweg.simulator.manners.rows.ark import ARK
from thalweg.simulator.manners.rows.dashscope import DASHSCOPE
from thalweg.simulator.manners.rows.deepseek import DEEPSEEK
from thalweg.simulator.manners.rows.groq import GROQ
from thalweg.simulator.manners.rows.ling import LING
from thalweg.simulator.manners.rows.llamacpp import LLAMACPP
from thalweg.simulator.manners.rows.lmstudio import LMSTUDIO
from thalweg.simulator.manners.rows.mistral import MISTRAL
from thalweg.simulator.manners.rows.moonshot import MOONSHOT
from thalweg.simulator.manners.rows.ollama import OLLAMA
from thalweg.simulator.manners.rows.openai import OPENAI
from thalweg.simulator.manners.rows.openrouter import OPENROUTER
from thalweg.simulator.manners.rows.siliconflow import SILICONFLOW
from thalweg.simulator.manners.rows.vllm import VLLM
from thalweg.simulator.manners.rows.zhipu import ZHIPU

MANNERS: dict[str, Manner] = {
    row.name: row
    for row in (
        OPENAI,
        ARK,
        LING,
        DASHSCOPE,
        DEEPSEEK,
        MOONSHOT,
        ZHIPU,
        OPENROUTER,
        SILICONFLOW,
        VLLM,
        OLLAMA,
        LLAMACPP,
        LMSTUDIO,
        AGGREGATOR,
        GROQ,
        MISTRAL,
    )
}
