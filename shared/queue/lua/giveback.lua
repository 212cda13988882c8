-- giveback ends an attempt without a result: the job waits again, or is dead.
--
-- ARGV[1]  id
-- ARGV[2]  fence
-- ARGV[3]  what is counted: failed, lost, or empty for nothing
-- ARGV[4]  most failed attempts
-- ARGV[5]  most lost attempts
-- ARGV[6]  milliseconds until the next attempt; -1: by backoff
-- ARGV[7]  first backoff in milliseconds
-- ARGV[8]  seconds that an ended job is kept
-- ARGV[9]  why, for people
-- Returns  the job's new state (waiting, delayed, superseded, failed, cancelled), or '' when the
--          fence is not the current one. Safe to repeat: until the next attempt the fence stays.
--
-- Backoff of the nth failed attempt: first × 4^(n-1), a day at most. A cancelled job ends here.

local j = load(ARGV[1])
if not j or j.fence ~= ARGV[2] or j.fence == '' then return '' end
if j.state ~= 'claimed' then return j.state end
local at, ttl = now(), ARGV[8]
if j.cancel then return call_off(j, at, ttl) end
local wait = tonumber(ARGV[6])
if ARGV[3] == 'lost' then return lose(j, ARGV[9], tonumber(ARGV[5]), tonumber(ARGV[7]), at, ttl) end
if ARGV[3] == 'failed' then
  local failed = j.failed + 1
  redis.call('HSET', P .. 'job:' .. j.id, 'failed', failed, 'detail', ARGV[9])
  if failed >= tonumber(ARGV[4]) then
    free(j)
    dead(j, ARGV[9], at, ttl)
    follow(j.subject)
    return 'failed'
  end
  if wait < 0 then wait = math.min(tonumber(ARGV[7]) * 4 ^ (failed - 1), 86400000) end
end
if ARGV[3] == '' then redis.call('HSET', P .. 'job:' .. j.id, 'detail', ARGV[9]) end
return back(j, at + math.max(wait, 0), at, ttl)
