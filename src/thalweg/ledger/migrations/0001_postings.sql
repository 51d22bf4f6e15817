-- Postings, only ever added. STRICT is not used: SQLite before 3.37 (RHEL 9) does not know it.
CREATE TABLE posting (
    seq INTEGER PRIMARY KEY,
    -- `released` (a reservation given back unspent) and `adjusted` (an invoice said otherwise) wait for budgets.
    kind TEXT NOT NULL CHECK (kind IN ('reserved', 'settled', 'released', 'adjusted')),
    request_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,

    -- of a reservation
    key_id TEXT,
    dialect TEXT,
    endpoint TEXT,
    provider TEXT,
    model TEXT,
    upstream_model TEXT,
    stream INTEGER,
    simulated INTEGER,

    -- of a settlement
    outcome TEXT,
    usage_source TEXT,
    finish_reason TEXT,
    ttft_ms REAL,
    upstream_ttft_ms REAL,
    duration_ms REAL,
    upstream_status INTEGER,
    error_kind TEXT,
    upstream_closed_ms REAL,
    input_tokens INTEGER,
    cached_input_tokens INTEGER,
    cache_write_tokens INTEGER,
    audio_input_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    audio_output_tokens INTEGER,

    -- money, later: 1e-9 of a currency unit
    cost_nano INTEGER,
    currency TEXT,
    price_version TEXT,

    UNIQUE (request_id, kind, attempt)
);

-- Ranges of time in reports.
CREATE INDEX posting_reserved ON posting (at_ms) WHERE kind = 'reserved';

-- One row: all postings up to this one were looked at by a recovery, and none is open.
CREATE TABLE recovered (seq INTEGER NOT NULL);
INSERT INTO recovered (seq) VALUES (0);

-- One row per attempt.
CREATE VIEW attempt AS
SELECT
    reserved.seq, reserved.request_id, reserved.attempt, 1 AS attempts,
    reserved.at_ms AS opened_ms, settled.at_ms AS settled_ms,
    reserved.key_id, reserved.dialect, reserved.endpoint, reserved.provider, reserved.model,
    reserved.upstream_model, reserved.stream, reserved.simulated,
    settled.outcome, settled.usage_source, settled.finish_reason, settled.ttft_ms, settled.upstream_ttft_ms,
    settled.duration_ms, settled.upstream_status, settled.error_kind, settled.upstream_closed_ms,
    settled.input_tokens, settled.cached_input_tokens, settled.cache_write_tokens, settled.audio_input_tokens,
    settled.output_tokens, settled.reasoning_tokens, settled.audio_output_tokens
FROM posting AS reserved
LEFT JOIN posting AS settled
    ON settled.request_id = reserved.request_id AND settled.kind = 'settled' AND settled.attempt = reserved.attempt
WHERE reserved.kind = 'reserved';

-- One row per request: the facts of its last attempt, the tokens of all of them. Written so that a range of
-- `opened_ms` or an order by `seq` reads only the rows it needs, where a GROUP BY would read the whole ledger every
-- time; and so that nothing is summed for the many requests that were tried once (last.seq = opened.seq).
CREATE VIEW entry AS
SELECT
    opened.seq, opened.request_id,
    (
        SELECT COUNT(*) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'reserved'
    ) AS attempts,
    opened.at_ms AS opened_ms, last.settled_ms,
    last.key_id, last.dialect, last.endpoint, last.provider, last.model, last.upstream_model,
    last.stream, last.simulated,
    last.outcome,
    -- The weakest of those that were not refused: a refused attempt used nothing.
    CASE last.seq WHEN opened.seq THEN last.usage_source ELSE (
        SELECT CASE
            COALESCE(
                MIN(CASE WHEN each.outcome <> 'refused' THEN INSTR('uecr', SUBSTR(each.usage_source, 1, 1)) END),
                MIN(INSTR('uecr', SUBSTR(each.usage_source, 1, 1)))
            ) WHEN 1 THEN 'unknown' WHEN 2 THEN 'estimated' WHEN 3 THEN 'counted' WHEN 4 THEN 'reported' END
        FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'settled'
    ) END AS usage_source,
    last.finish_reason, last.ttft_ms, last.upstream_ttft_ms, last.duration_ms, last.upstream_status, last.error_kind,
    last.upstream_closed_ms,
    CASE last.seq WHEN opened.seq THEN last.input_tokens ELSE (
        SELECT SUM(each.input_tokens) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'settled'
    ) END AS input_tokens,
    CASE last.seq WHEN opened.seq THEN last.cached_input_tokens ELSE (
        SELECT SUM(each.cached_input_tokens) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'settled'
    ) END AS cached_input_tokens,
    CASE last.seq WHEN opened.seq THEN last.cache_write_tokens ELSE (
        SELECT SUM(each.cache_write_tokens) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'settled'
    ) END AS cache_write_tokens,
    CASE last.seq WHEN opened.seq THEN last.audio_input_tokens ELSE (
        SELECT SUM(each.audio_input_tokens) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'settled'
    ) END AS audio_input_tokens,
    CASE last.seq WHEN opened.seq THEN last.output_tokens ELSE (
        SELECT SUM(each.output_tokens) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'settled'
    ) END AS output_tokens,
    CASE last.seq WHEN opened.seq THEN last.reasoning_tokens ELSE (
        SELECT SUM(each.reasoning_tokens) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'settled'
    ) END AS reasoning_tokens,
    CASE last.seq WHEN opened.seq THEN last.audio_output_tokens ELSE (
        SELECT SUM(each.audio_output_tokens) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'settled'
    ) END AS audio_output_tokens
FROM posting AS opened
JOIN attempt AS last
    ON last.request_id = opened.request_id
    AND last.attempt = (
        SELECT MAX(each.attempt) FROM posting AS each
        WHERE each.request_id = opened.request_id AND each.kind = 'reserved'
    )
WHERE opened.kind = 'reserved' AND NOT EXISTS (
    SELECT 1 FROM posting AS earlier
    WHERE earlier.request_id = opened.request_id AND earlier.kind = 'reserved' AND earlier.attempt < opened.attempt
);
