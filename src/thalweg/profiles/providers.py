"""The providers we know, one row each.

Sources: the providers' API references and recorded streams, read 2026-11. What could not be verified is left as it is
for any OpenAI-compatible address.
"""

from __future__ import annotations

from msgspec.structs import replace

from thalweg.profiles.base import Local, ModelRow, Prefill, Profile, Provider, Thinking

MODELS_DATE = "2026-11"
"""When the names of models below were written down."""

CHAT_REPAIRS = frozenset(
    {
        "framing",
        "one-newline",
        "envelope",
        "object",
        "empty-choices",
        "delta",
        "content",
        "content-parts",
        "role",
        "tool-calls",
        "usage-chunk",
    }
)
"""Every mend of Chat streams that is known to be needed by some SDK or by code that tutorials teach."""

RESPONSES_REPAIRS = frozenset({"comments", "framing", "done", "type", "null-effort", "identity", "output"})
"""The same of Responses streams."""

ANTHROPIC_REPAIRS = frozenset(
    {"event", "done", "message-start", "block-start", "index", "usage", "unclosed", "separators", "message-stop"}
)
"""The same of Anthropic streams."""

GEMINI_REPAIRS = frozenset({"framing", "numeric-enums", "separators", "lost-signature"})
"""The same of Gemini streams; `lost-signature` is a mend of requests."""

_PICTURES_AND_FILMS = frozenset({"image", "video"})
_PICTURES_AND_PAPERS = frozenset({"image", "document"})
_GOOGLES_ADDRESSES = (
    "https://generativelanguage.googleapis.com/",
    "https://www.youtube.com/",
    "https://youtube.com/",
    "https://youtu.be/",
    "gs://",
)

COMPATIBLE = Profile(repairs=CHAT_REPAIRS)
"""Any address that says it is OpenAI-compatible: nothing is taken for granted."""

_SWITCHES = frozenset({"thinking", "enable_thinking", "thinking_budget", "reasoning", "chat_template_kwargs"})

_LOW_TO_HIGH = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_UP_TO_HIGH = _LOW_TO_HIGH | {"minimal": "minimal"}
_UP_TO_XHIGH = _UP_TO_HIGH | {"xhigh": "xhigh", "max": "xhigh"}
_FROM_LOW = _LOW_TO_HIGH | {"xhigh": "xhigh", "max": "max"}
_THREE = {"minimal": "low", "low": "low", "medium": "high", "high": "high", "xhigh": "max", "max": "max"}

_OPENAI = Provider(
    name="openai",
    title="OpenAI",
    dialect="openai-chat",
    base_url="https://api.openai.com/v1",
    base_url_variable="OPENAI_BASE_URL",
    key_variables=("OPENAI_API_KEY",),
    # It answers fields that it does not know with 400, other providers' switches for thinking among them.
    profile=replace(
        COMPATIBLE,
        refused_fields=_SWITCHES,
        optional_fields=frozenset({"service_tier"}),
        reasoning_field="",
    ),
    models=("gpt-5.4-mini", "gpt-5", "gpt-4o-mini"),
    model_prefixes=("gpt-", "o1", "o3", "o4", "chatgpt-"),
)

_OPENAI_RESPONSES = Provider(
    name="openai-responses",
    title="OpenAI, Responses",
    dialect="openai-responses",
    sibling_of="openai",
    base_url=_OPENAI.base_url,
    base_url_variable=_OPENAI.base_url_variable,
    key_variables=_OPENAI.key_variables,
    profile=Profile(repairs=RESPONSES_REPAIRS, media_urls=_PICTURES_AND_PAPERS),
)

_ANTHROPIC_PROFILE = Profile(repairs=ANTHROPIC_REPAIRS, media_urls=_PICTURES_AND_PAPERS)
# "Prefilling is not supported on Claude Opus 4.6 and later" (platform.claude.com, prefill-claudes-response).
_TAKE_A_BEGINNING = (
    *("claude-3", "claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5", "claude-opus-4-1"),
    *("claude-sonnet-4-0", "claude-opus-4-0", "claude-sonnet-4-2025", "claude-opus-4-2025"),
)
_ANTHROPIC = Provider(
    name="anthropic",
    title="Anthropic",
    dialect="anthropic",
    base_url="https://api.anthropic.com",
    base_url_variable="ANTHROPIC_BASE_URL",
    key_variables=("ANTHROPIC_API_KEY",),
    key_header="x-api-key",
    profile=_ANTHROPIC_PROFILE,
    model_rows=(
        ModelRow(prefixes=_TAKE_A_BEGINNING, profile=replace(_ANTHROPIC_PROFILE, prefill=Prefill(trims=True))),
    ),
    models_path="/v1/models?limit=1000",
    models=("claude-sonnet-4-6", "claude-haiku-4-5", "claude-opus-4-6"),
    model_prefixes=("claude-",),
)

_GOOGLE = Provider(
    name="google",
    title="Google Gemini",
    dialect="gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    base_url_variable="GEMINI_BASE_URL",
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    key_header="x-goog-api-key",
    # Files are taken as bytes; of addresses only its own.
    profile=Profile(repairs=GEMINI_REPAIRS, media_urls=frozenset(), media_url_prefixes=_GOOGLES_ADDRESSES),
    models_path="/models?pageSize=1000",
    models=("gemini-3.1-flash", "gemini-3-pro", "gemini-2.5-flash"),
    model_prefixes=("gemini-", "gemma-"),
)

_ARK_PROFILE = Profile(
    # Ark repeats the role in every delta by design, and its own SDKs take it so: no `role` row.
    repairs=CHAT_REPAIRS - {"role"},
    max_tokens_field="max_tokens",
    chunk_usage="chunk_include_usage",
    media_urls=_PICTURES_AND_FILMS,
    thinking=Thinking(switch="thinking", efforts=_UP_TO_HIGH),
)
# Of the models that think, these two alone (volcengine.com/docs/82379/1359497); and only where they did not.
_ARK_CONTINUES = ("doubao-1-5-pro", "doubao-1-5-lite", "doubao-seed-1-6-251015", "doubao-seed-1-6-lite-251015")
_ARK = Provider(
    name="ark",
    title="Volcengine Ark",
    dialect="openai-chat",
    base_url="https://ark.cn-beijing.volces.com/api/v3",
    base_url_variable="ARK_BASE_URL",
    key_variables=("ARK_API_KEY",),
    profile=_ARK_PROFILE,
    model_rows=(ModelRow(prefixes=_ARK_CONTINUES, profile=replace(_ARK_PROFILE, prefill=Prefill())),),
    models=("doubao-seed-1-8-251215", "doubao-seed-1-6-251015", "doubao-1-5-pro-32k-250115"),
    model_prefixes=("doubao-", "ep-"),
)

_ARK_RESPONSES = Provider(
    name="ark-responses",
    title="Volcengine Ark, Responses",
    dialect="openai-responses",
    sibling_of="ark",
    base_url=_ARK.base_url,
    base_url_variable=_ARK.base_url_variable,
    key_variables=_ARK.key_variables,
    profile=Profile(
        repairs=RESPONSES_REPAIRS, thinking=_ARK_PROFILE.thinking, media_urls=_PICTURES_AND_PAPERS | {"video"}
    ),
)

_LING = Provider(
    name="ling",
    title="Ant Ling",
    dialect="openai-chat",
    base_url="https://api.ant-ling.com/v1/",
    base_url_variable="ANT_LING_BASE_URL",
    key_variables=("ANT_LING_API_KEY",),
    # How it is told to think is not documented: what the client says passes.
    profile=COMPATIBLE,
    models=("Ling-2.6-flash", "Ling-2.6-1T"),
    model_prefixes=("ling-", "ring-", "ming-"),
)

_DASHSCOPE_PROFILE = replace(
    COMPATIBLE,
    max_tokens_field="max_tokens",
    thinking=Thinking(switch="enable_thinking", efforts={}, least_budget=1, default="off"),
    media_urls=_PICTURES_AND_FILMS,
)

# Without thinking (help.aliyun.com, model-studio/partial-mode).
_DASHSCOPE_CONTINUES = (
    *("qwen-max", "qwen3-max", "qwen-plus", "qwen3.5-plus", "qwen-flash", "qwen3.5-flash", "qwen-turbo"),
    *("qwen3-coder-", "qwen-coder-", "qwen2.5-"),
)


def _dashscope_models(common: Profile) -> tuple[ModelRow, ...]:
    """What some of its models differ in, in either dialect.

    "Qwen3 open-source, QwQ, QVQ, Qwen-Omni … support streaming only" (help.aliyun.com, model-studio/stream). Names of
    open-source Qwen3 models go on with their size, those of the commercial ones with a word.
    """
    thinks = replace(common, stream_only=True, thinking=replace(common.thinking, default="on"))
    always = replace(thinks, thinking=replace(thinks.thinking, default="always"))
    sizes = (*(f"qwen3-{digit}" for digit in range(10)), *(f"qwen3-vl-{digit}" for digit in range(10)))
    omni = ("qwen-omni", "qwen2.5-omni", "qwen3-omni")
    return (
        ModelRow(prefixes=("qwq", "qvq"), profile=always),
        ModelRow(prefixes=omni, profile=replace(common, stream_only=True)),
        ModelRow(prefixes=sizes, profile=thinks),
        ModelRow(prefixes=("qwen3-next-",), profile=thinks),
        ModelRow(prefixes=_DASHSCOPE_CONTINUES, profile=replace(common, prefill=Prefill(mark="partial"))),
    )


_DASHSCOPE = Provider(
    name="dashscope",
    title="Alibaba Model Studio",
    dialect="openai-chat",
    # Beijing; keys are bound to a region, and other regions have other hosts.
    base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
    base_url_variable="DASHSCOPE_BASE_URL",
    key_variables=("DASHSCOPE_API_KEY",),
    profile=_DASHSCOPE_PROFILE,
    model_rows=_dashscope_models(_DASHSCOPE_PROFILE),
    models=("qwen-plus", "qwen3-max", "qwen3-vl-plus", "antdigital/Ling-3.1-flash"),
    model_prefixes=("qwen", "qwq", "qvq"),
)

_DASHSCOPE_NATIVE_PROFILE = Profile(thinking=_DASHSCOPE_PROFILE.thinking, media_urls=_PICTURES_AND_FILMS | {"audio"})
_DASHSCOPE_NATIVE = Provider(
    name="dashscope-native",
    title="Alibaba Model Studio, DashScope",
    dialect="dashscope-native",
    sibling_of="dashscope",
    base_url="https://dashscope.aliyuncs.com/api/v1",
    base_url_variable="DASHSCOPE_HTTP_BASE_URL",
    key_variables=_DASHSCOPE.key_variables,
    profile=_DASHSCOPE_NATIVE_PROFILE,
    model_rows=_dashscope_models(_DASHSCOPE_NATIVE_PROFILE),
)

_DEEPSEEK_PROFILE = replace(
    COMPATIBLE,
    max_tokens_field="max_tokens",
    thinking=Thinking(switch="thinking", efforts=_FROM_LOW, default="on"),
    # api-docs.deepseek.com, guides/chat_prefix_completion.
    prefill=Prefill(mark="prefix", base_path="/beta"),
)
_DEEPSEEK = Provider(
    name="deepseek",
    title="DeepSeek",
    dialect="openai-chat",
    base_url="https://api.deepseek.com",
    base_url_variable="DEEPSEEK_BASE_URL",
    key_variables=("DEEPSEEK_API_KEY",),
    profile=_DEEPSEEK_PROFILE,
    model_rows=(
        ModelRow(
            prefixes=("deepseek-reasoner",),
            profile=replace(_DEEPSEEK_PROFILE, thinking=replace(_DEEPSEEK_PROFILE.thinking, default="always")),
        ),
        ModelRow(
            prefixes=("deepseek-chat",),
            profile=replace(
                _DEEPSEEK_PROFILE, thinking=replace(_DEEPSEEK_PROFILE.thinking, on_with_effort=True, default="off")
            ),
        ),
    ),
    models=("deepseek-v4-pro", "deepseek-v4-flash"),
    model_prefixes=("deepseek-",),
)

_MOONSHOT = Provider(
    name="moonshot",
    title="Moonshot AI",
    dialect="openai-chat",
    base_url="https://api.moonshot.ai/v1",
    base_url_variable="MOONSHOT_BASE_URL",
    key_variables=("MOONSHOT_API_KEY",),
    profile=replace(
        COMPATIBLE,
        max_tokens_field="max_tokens",
        thinking=Thinking(switch="thinking", efforts=_THREE, least_budget=1024),
        # Its guide to pictures knows base64 alone, its help names addresses too: bytes are taken for certain.
        media_urls=frozenset(),
        # platform.kimi.ai, api/partial.
        prefill=Prefill(mark="partial"),
    ),
    models=("kimi-k3", "kimi-k2.6"),
    model_prefixes=("kimi-", "moonshot-"),
)

_ZHIPU = Provider(
    name="zhipu",
    title="Zhipu",
    dialect="openai-chat",
    base_url="https://open.bigmodel.cn/api/paas/v4",
    base_url_variable="ZHIPUAI_BASE_URL",
    key_variables=("ZHIPUAI_API_KEY", "ZAI_API_KEY"),
    base_url_of_key={"ZAI_API_KEY": "https://api.z.ai/api/paas/v4"},
    profile=replace(
        COMPATIBLE,
        max_tokens_field="max_tokens",
        thinking=Thinking(switch="thinking", efforts=_LOW_TO_HIGH, default="on"),
    ),
    models=("glm-5.3", "glm-4.7", "glm-4.7-flash", "glm-4.5v"),
    model_prefixes=("glm-",),
)

_OPENROUTER = Provider(
    name="openrouter",
    title="OpenRouter",
    dialect="openai-chat",
    base_url="https://openrouter.ai/api/v1",
    base_url_variable="OPENROUTER_BASE_URL",
    key_variables=("OPENROUTER_API_KEY",),
    profile=replace(
        COMPATIBLE,
        max_tokens_field="max_tokens",
        thinking=Thinking(switch="reasoning", efforts=_UP_TO_XHIGH, least_budget=1),
        reasoning_field="reasoning",
    ),
    list_currency="USD",
    models=("anthropic/claude-sonnet-4.6", "deepseek/deepseek-chat-v3.1", "moonshotai/kimi-k2.5", "qwen/qwen3-max"),
)

_SILICONFLOW = Provider(
    name="siliconflow",
    title="SiliconFlow",
    dialect="openai-chat",
    base_url="https://api.siliconflow.cn/v1",
    base_url_variable="SILICONFLOW_BASE_URL",
    key_variables=("SILICONFLOW_API_KEY",),
    profile=replace(
        COMPATIBLE,
        max_tokens_field="max_tokens",
        thinking=Thinking(switch="enable_thinking", efforts={}, least_budget=128),
    ),
    models=("deepseek-ai/DeepSeek-V3.2", "Qwen/Qwen3-8B", "zai-org/GLM-4.6"),
)

_TEMPLATE = Thinking(switch="chat_template_kwargs", efforts=_LOW_TO_HIGH, on_with_effort=True)

_VLLM = Provider(
    name="vllm",
    title="vLLM",
    dialect="openai-chat",
    base_url="http://127.0.0.1:8000/v1",
    base_url_variable="VLLM_BASE_URL",
    key_variables=("VLLM_API_KEY",),
    needs_key=False,
    local=Local(owned_by=frozenset({"vllm"})),
    # It leaves out of a chunk whatever is not set.
    profile=replace(
        COMPATIBLE,
        chunk_usage="continuous_usage_stats",
        unasked_usage="absent",
        thinking=_TEMPLATE,
        prefill=Prefill(mark="continue_final_message"),
    ),
)

_OLLAMA = Provider(
    name="ollama",
    title="Ollama",
    dialect="openai-chat",
    base_url="http://127.0.0.1:11434/v1",
    base_url_variable="OLLAMA_BASE_URL",
    key_variables=("OLLAMA_API_KEY",),
    needs_key=False,
    # The owner of a model is the part of its name before the slash, `library` where there is none.
    local=Local(owned_by=frozenset({"library"}), version_path="/api/version"),
    profile=replace(
        COMPATIBLE,
        max_tokens_field="max_tokens",
        thinking=Thinking(efforts=_LOW_TO_HIGH | {"none": "none"}),
        reasoning_field="reasoning",
        # "invalid image input" (ollama/ollama issue 6753).
        media_urls=frozenset(),
    ),
)

_LLAMACPP = Provider(
    name="llamacpp",
    title="llama.cpp",
    dialect="openai-chat",
    base_url="http://127.0.0.1:8080/v1",
    base_url_variable="LLAMACPP_BASE_URL",
    key_variables=("LLAMACPP_API_KEY",),
    needs_key=False,
    local=Local(owned_by=frozenset({"llamacpp"})),
    profile=replace(COMPATIBLE, max_tokens_field="max_tokens", thinking=_TEMPLATE),
)

_LMSTUDIO = Provider(
    name="lmstudio",
    title="LM Studio",
    dialect="openai-chat",
    base_url="http://127.0.0.1:1234/v1",
    base_url_variable="LMSTUDIO_BASE_URL",
    key_variables=("LMSTUDIO_API_KEY",),
    needs_key=False,
    local=Local(owned_by=frozenset({"organization_owner"})),
    profile=replace(
        COMPATIBLE,
        max_tokens_field="max_tokens",
        thinking=Thinking(efforts=_UP_TO_XHIGH | {"none": "none"}),
        # "'url' field must be a base64 encoded image" (lmstudio-ai/lmstudio-bug-tracker issue 1120).
        media_urls=frozenset(),
    ),
)

PROVIDERS: tuple[Provider, ...] = (
    _OPENAI,
    _OPENAI_RESPONSES,
    _ANTHROPIC,
    _GOOGLE,
    _ARK,
    _ARK_RESPONSES,
    _LING,
    _DASHSCOPE,
    _DASHSCOPE_NATIVE,
    _DEEPSEEK,
    _MOONSHOT,
    _ZHIPU,
    _OPENROUTER,
    _SILICONFLOW,
    _VLLM,
    _OLLAMA,
    _LLAMACPP,
    _LMSTUDIO,
)


_SIMULATED = replace(
    COMPATIBLE,
    repairs=CHAT_REPAIRS | RESPONSES_REPAIRS | ANTHROPIC_REPAIRS | GEMINI_REPAIRS,
    # It fetches nothing, and is fetched nothing for: of an address it says what it is, and that nobody looked.
    media_urls=frozenset({"image", "audio", "video", "document"}),
)


_SIMULATED_GOOGLE = replace(_SIMULATED, media_urls=frozenset(), media_url_prefixes=_GOOGLES_ADDRESSES)
"""As Google's own dialect is: it has no words for the address of a file elsewhere."""


def _simulator(name: str, dialect: str, path: str, profile: Profile = _SIMULATED) -> Provider:
    return Provider(
        name=name,
        title="Simulator",
        dialect=dialect,
        base_url=f"http://simulator.invalid{path}",
        base_url_variable="",
        key_variables=(),
        needs_key=False,
        profile=profile,
        model_rows=(ModelRow(prefixes=("stream-only",), profile=replace(profile, stream_only=True)),),
    )


SIMULATOR = _simulator("sim", "", "/v1")
"""The built-in provider, in the client's own dialect. Its address is never dialled."""

SIMULATORS: dict[str, Provider] = {
    row.name: row
    for row in (
        SIMULATOR,
        _simulator("sim-chat", "openai-chat", "/v1"),
        _simulator("sim-responses", "openai-responses", "/v1"),
        _simulator("sim-anthropic", "anthropic", ""),
        _simulator("sim-gemini", "gemini", "/v1beta", _SIMULATED_GOOGLE),
        _simulator("sim-dashscope", "dashscope-native", "/api/v1"),
    )
}
"""The same with a dialect of its own, to try translation without a key."""


def compatible(name: str, *, base_url: str, base_url_variable: str, key_variable: str) -> Provider:
    """A row for any OpenAI-compatible address. Names of its models may hold slashes of their own."""
    return Provider(
        name=name,
        title=name,
        dialect="openai-chat",
        base_url=base_url,
        base_url_variable=base_url_variable,
        key_variables=(key_variable,),
        needs_key=False,
        profile=COMPATIBLE,
    )
