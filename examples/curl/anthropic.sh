#!/bin/sh
# Anthropic's Messages: shows the events of an answer as they come.
curl -sS -N "${BASE_URL:-http://127.0.0.1:8080/anthropic}/v1/messages" \
  -H "x-api-key: ${API_KEY:-any}" \
  -H "anthropic-version: 2023-06-01" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "'"${MODEL:-sim/text}"'",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "哪些河流入海？🌊"}],
    "stream": true
  }'
