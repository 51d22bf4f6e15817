#!/bin/sh
# The Responses API: shows its events as they come.
curl -sS -N "${BASE_URL:-http://127.0.0.1:8080/v1}/responses" \
  -H "Authorization: Bearer ${API_KEY:-any}" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "'"${MODEL:-sim/text}"'",
    "input": "哪些河流入海？🌊",
    "stream": true
  }'
