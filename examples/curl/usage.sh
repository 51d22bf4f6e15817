#!/bin/sh
# Shows only the event with the tokens, which comes last before the end mark, if asked for.
curl -sS -N "${BASE_URL:-http://127.0.0.1:8080/v1}/chat/completions" \
  -H "Authorization: Bearer ${API_KEY:-any}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "'"${MODEL:-sim/text}"'",
    "messages": [{"role": "user", "content": "哪些河流入海？🌊"}],
    "stream": true,
    "stream_options": {"include_usage": true}
  }' | sed -n 's/^data: \(.*"choices":\[\].*\)/\1/p'
