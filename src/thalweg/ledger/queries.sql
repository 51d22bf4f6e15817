-- Named SQL. A name stands alone in its line, between dashes; what follows belongs to it.

-- add_postings --
-- {rows} is as many tuples as there are postings. A posting that is there already stays as it is.
INSERT INTO posting (
    kind, request_id, attempt, at_ms,
    key_id, dialect, endpoint, provider, model, upstream_model, stream, simulated, continued,
    outcome, usage_source, finish_reason, ttft_ms, upstream_ttft_ms, duration_ms,
    upstream_status, error_kind, upstream_closed_ms,
    input_tokens, cached_input_tokens, cache_write_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens
) VALUES {rows} ON CONFLICT (request_id, kind, attempt) DO NOTHING

-- last_seq --
SELECT COALESCE(MAX(seq), 0) FROM posting

-- reserved_since --
-- Whether this attempt's reservation is younger than a posting.
SELECT 1 FROM posting WHERE request_id = ? AND attempt = ? AND kind = 'reserved' AND seq > ?

-- settle_crashed --
-- Those after the last recovery and up to a posting: what later postings left open is alive.
INSERT INTO posting (kind, request_id, attempt, at_ms, outcome, usage_source)
SELECT 'settled', attempt.request_id, attempt.attempt, :at_ms, 'crashed', 'unknown'
FROM attempt
WHERE attempt.seq > (SELECT seq FROM recovered) AND attempt.seq <= :last_seq AND attempt.outcome IS NULL

-- remember_recovery --
UPDATE recovered SET seq = :last_seq WHERE seq < :last_seq

-- last_entries --
-- {view} is `entry` or `attempt`. A condition that is not asked for is left out, not made true for all: so a range of
-- time or of names is found by its index, and without one SQLite walks back from the end and stops at the limit.
SELECT
    request_id, attempts, opened_ms, settled_ms,
    key_id, dialect, endpoint, provider, model, upstream_model, stream, simulated,
    outcome, usage_source, finish_reason, ttft_ms, upstream_ttft_ms, duration_ms,
    upstream_status, error_kind, upstream_closed_ms,
    input_tokens, cached_input_tokens, cache_write_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens,
    (
        SELECT COUNT(*) FROM posting AS each
        WHERE each.request_id = {view}.request_id AND each.kind = 'reserved' AND each.continued
            AND ('{view}' = 'entry' OR each.seq = {view}.seq)
    ) AS continued
FROM {view}
WHERE {condition}
ORDER BY seq DESC
LIMIT :count

-- usage --
-- {view} is `entry` or `attempt`, {label} what to group by. The percentiles are nearest ranks.
WITH
    chosen AS (
        SELECT
            {label} AS label, outcome, usage_source, ttft_ms,
            input_tokens, output_tokens, cached_input_tokens, reasoning_tokens
        FROM {view}
        WHERE opened_ms >= :since_ms AND opened_ms < :until_ms
    ),
    ranked AS (
        SELECT
            *,
            ROW_NUMBER() OVER (PARTITION BY label ORDER BY ttft_ms IS NULL, ttft_ms) AS place,
            COUNT(ttft_ms) OVER (PARTITION BY label) AS timed
        FROM chosen
    )
SELECT
    label,
    COUNT(*) AS requests,
    COALESCE(SUM(input_tokens), 0) AS input_tokens,
    COALESCE(SUM(output_tokens), 0) AS output_tokens,
    COALESCE(SUM(cached_input_tokens), 0) AS cached_input_tokens,
    COALESCE(SUM(reasoning_tokens), 0) AS reasoning_tokens,
    COUNT(CASE WHEN usage_source = 'reported' THEN 1 END) AS reported,
    COUNT(CASE WHEN usage_source = 'counted' THEN 1 END) AS counted,
    COUNT(CASE WHEN usage_source = 'estimated' THEN 1 END) AS estimated,
    COUNT(CASE WHEN usage_source = 'unknown' THEN 1 END) AS unknown,
    COUNT(CASE WHEN outcome IS NULL THEN 1 END) AS unfinished,
    COUNT(CASE WHEN outcome NOT IN ('complete', 'refused') THEN 1 END) AS interrupted,
    MAX(CASE WHEN place = (timed * 50 + 99) / 100 THEN ttft_ms END) AS ttft_p50_ms,
    MAX(CASE WHEN place = (timed * 95 + 99) / 100 THEN ttft_ms END) AS ttft_p95_ms
FROM ranked
GROUP BY label
ORDER BY label
