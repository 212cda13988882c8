-- finish records the result of a claim, frees the subject and queues its parked wish.
--
-- ARGV[1]   id
-- ARGV[2]   fence
-- ARGV[3]   outcome
-- ARGV[4]   result as JSON
-- ARGV[5]   seconds that the ended job is kept
-- ARGV[6]   1: the outcome is done; 2: it was judged, though not done
-- ARGV[7]   config half that was deployed, as claimed; empty: none
-- ARGV[8]   source half, likewise
-- ARGV[9]   force, as claimed
-- ARGV[10…] pairs for the job's hash and, when done, the subject's: detail first, then digest, commits …
-- Returns   1, or 0 when the fence is not the current one.
--
-- Safe to repeat: a job that ended so under this fence answers 1. What was deployed is cleared by
-- value: a half that a push wrote meanwhile stays.

local j = load(ARGV[1])
if not j or j.fence ~= ARGV[2] or j.fence == '' then return 0 end
if j.state == ARGV[3] then return 1 end
if j.state ~= 'claimed' then return 0 end
local at, ttl = now(), ARGV[5]
local s, d = P .. j.subject, P .. 'desired:' .. string.match(j.subject, ':(.*)')
local facts = {}
for i = 10, #ARGV do facts[#facts + 1] = ARGV[i] end
redis.call('HSET', P .. 'job:' .. j.id, 'result', ARGV[4], unpack(facts))
free(j)
redis.call('HSET', s, 'last', j.id, 'last_outcome', ARGV[3])
if j.kind ~= 'plan' and (ARGV[6] == '1' or ARGV[3] == 'cancelled') then
  for i, field in ipairs({ 'config', 'source', 'force' }) do
    local was = ARGV[6 + i]
    if was ~= '' and redis.call('HGET', d, field) == was then redis.call('HDEL', d, field) end
  end
end
if j.kind == 'deploy' or j.kind == 'sync' then
  if ARGV[6] == '1' then redis.call('HSET', s, 'result', ARGV[4], unpack(facts)) end
  if ARGV[6] ~= '' then redis.call('HSET', s, 'judged', ARGV[4]) end
  if ARGV[6] == '1' then redis.call('HDEL', s, 'hold') end
elseif j.kind == 'destroy' and ARGV[6] == '1' then
  redis.call('HDEL', s, 'result', 'judged', 'hold', 'done', 'trouble')
  for i = 1, #facts, 2 do redis.call('HDEL', s, facts[i]) end
end
if ARGV[3] == 'failed' then dead(j, ARGV[11], at, ttl) else close(j, ARGV[3], at, ttl) end
follow(j.subject)
return 1
