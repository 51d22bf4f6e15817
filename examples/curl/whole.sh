#!/bin/sh
# Takes an answer whole.
curl -sS "${BASE_URL:-http://127.0.0.1:8080/v1}/chat/completions" \
  -H "Authorization: Bearer ${API_KEY:-any}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "'"${MODEL:-sim/text}"'",
    "messages": [{"role": "user", "content": "哪些河流入海？🌊"}]
  }'
