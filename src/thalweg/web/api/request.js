// The body of a request out of a conversation's messages and its parameters. No network.

/** A fence longer than any run of backticks in the text. */
function fence(text) {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  return "`".repeat(longest + 1);
}

function textOf(message) {
  const files = (message.files ?? []).map((file) => {
    const marks = fence(file.text);
    return `${file.name}\n${marks}\n${file.text}\n${marks}`;
  });
  return [...files, message.text].filter(Boolean).join("\n\n");
}

function fromUser(message) {
  const text = textOf(message);
  const images = message.images ?? [];
  if (images.length === 0) return { role: "user", content: text };
  const parts = images.map((image) => ({ type: "image_url", image_url: { url: image.url } }));
  return { role: "user", content: text ? [{ type: "text", text }, ...parts] : parts };
}

/** An assistant's turn with those of its calls that were answered: a call without its result is refused upstream. */
function fromAssistant(message, answered) {
  const calls = (message.calls ?? []).filter((call) => answered.has(call.id));
  if (!message.text && calls.length === 0) return null;
  const said = { role: "assistant", content: message.text || null };
  if (calls.length > 0) {
    said.tool_calls = calls.map(({ id, name, arguments: text }) => ({
      id,
      type: "function",
      function: { name, arguments: text },
    }));
  }
  return said;
}

const ROLES = {
  user: (message) => fromUser(message),
  assistant: fromAssistant,
  tool: (message) => ({ role: "tool", tool_call_id: message.callId, content: message.text }),
};

/**
 * The request's body.
 * @param {object[]} path the messages from the first to the last that is sent
 * @param {{model: string, parameters: object}} asked
 */
export function requestBody(path, { model, parameters }) {
  const answered = new Set(path.filter((message) => message.role === "tool").map((message) => message.callId));
  const messages = path.map((message) => ROLES[message.role](message, answered)).filter(Boolean);
  if (parameters.system?.trim()) messages.unshift({ role: "system", content: parameters.system });
  const body = { model, messages, stream: true, stream_options: { include_usage: true } };
  if (isNumber(parameters.temperature)) body.temperature = parameters.temperature;
  if (isNumber(parameters.maxTokens)) body.max_completion_tokens = parameters.maxTokens;
  if (parameters.effort) body.reasoning_effort = parameters.effort;
  const tools = toolsOf(parameters);
  if (tools.length > 0) body.tools = tools;
  return body;
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Two tools to look at calls with. */
export const EXAMPLE_TOOLS = [
  {
    type: "function",
    function: {
      name: "river_level",
      description: "Water level of a river at a gauge.",
      parameters: {
        type: "object",
        properties: {
          river: { type: "string" },
          gauge: { type: "string" },
          unit: { type: "string", enum: ["cm", "ft"] },
        },
        required: ["river", "gauge", "unit"],
      },
    },
  },
  {
    type: "function",
    function: {
      name: "weather",
      description: "Weather at a place in the next hours.",
      parameters: {
        type: "object",
        properties: { place: { type: "string" }, hours: { type: "integer", minimum: 1, maximum: 48 } },
        required: ["place"],
      },
    },
  },
];

/** The tools that are switched on. */
export function toolsOf(parameters) {
  const own = parameters.tools?.trim() ? (readTools(parameters.tools).tools ?? []) : [];
  return [...(parameters.exampleTools ? EXAMPLE_TOOLS : []), ...own];
}

/**
 * Tools out of what a person typed: a JSON list of tools as OpenAI writes them, or of their inside alone. Returns
 * `{tools}`, or `{problem}` with a key of the page's words.
 */
export function readTools(text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch {
    return { problem: "tools_no_json" };
  }
  const tools = (Array.isArray(given) ? given : [given]).map((tool) =>
    tool?.type ? tool : { type: "function", function: tool },
  );
  const named = tools.every((tool) => typeof (tool.function ?? tool.custom)?.name === "string");
  return named ? { tools } : { problem: "tools_no_name" };
}

/** The same request as a command for a shell. The key is a variable, never itself. */
export function curlOf(origin, body, { keyed }) {
  const lines = [`curl -N ${origin}/v1/chat/completions`, `-H 'content-type: application/json'`];
  if (keyed) lines.push(`-H "authorization: Bearer $THALWEG_API_KEY"`);
  lines.push(`-d '${JSON.stringify(body, null, 2).replaceAll("'", String.raw`'\''`)}'`);
  return `${lines.join(" \\\n  ")}\n`;
}
