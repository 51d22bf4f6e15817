#!/bin/sh
# Gemini's generateContent: shows the events of an answer as they come.
curl -sS -N "${BASE_URL:-http://127.0.0.1:8080}/v1beta/models/${MODEL:-sim/text}:streamGenerateContent?alt=sse" \
  -H "x-goog-api-key: ${API_KEY:-any}" \
  -H "Content-Type: application/json" \
  -d '{"contents": [{"role": "user", "parts": [{"text": "哪些河流入海？🌊"}]}]}'
