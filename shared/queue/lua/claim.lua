-- claim gives a runner the job that its machine was made for, and the subject with it.
--
-- ARGV[1]  id
-- ARGV[2]  attempt
-- ARGV[3]  machine
-- ARGV[4]  milliseconds that the hold lasts
-- ARGV[5]  seconds that an ended job is kept
-- Returns  {0, state} when refused, else
--          {1, JSON, fence, hold ms, ms to the run deadline, failed, lost,
--           desired as a flat list, app or config tree as a flat list, catalog entry or '', time}
--
-- Only from launching at its attempt; again for the same machine is fine and gives the same fence. What was launched
-- sealed is refused to every machine but the one that was granted.

local j = load(ARGV[1])
if not j then return { 0, 'unknown' } end
local again = j.state == 'claimed' and j.machine == ARGV[3]
if j.attempt ~= tonumber(ARGV[2]) or not (again or j.state == 'launching') then return { 0, j.state } end
if not again then
  local seal = redis.call('HMGET', P .. 'job:' .. j.id, 'sealed', 'granted')
  if seal[1] == '1' and (seal[2] == '' or seal[2] ~= ARGV[3]) then return { 0, 'sealed' } end
end
local at = now()
local key, s = P .. 'job:' .. j.id, P .. j.subject
if j.cancel and not again then
  return { 0, call_off(j, at, ARGV[5]) }
end
local fence = j.fence
if not again then
  fence = text(math.max((tonumber(redis.call('HGET', s, 'fence')) or 0) + 1, at))
  redis.call('HSET', s, 'fence', fence)
  redis.call('HSET', key, 'state', 'claimed', 'machine', ARGV[3], 'fence', fence, 'claimed', text(at))
  redis.pcall('XCLAIM', P .. j.stream, GROUP, ARGV[3], 0, j.entry, 'JUSTID')
  event(j.id, j.subject, 'claimed')
end
local hold = math.min(tonumber(ARGV[4]), math.max(j.deadline - at, 0))
redis.call('ZADD', P .. 'active', text(at + hold), j.id)
local name = string.match(j.subject, ':(.*)')
local pull = string.match(j.subject, '^plan:pull:%d+:(.*)')
local app = redis.call('HGETALL', pull and P .. 'config:' .. pull or j.kind == 'plan' and P .. 'app:' .. name or s)
local entry = entry_of(name)
return { 1, redis.call('HGET', key, 'job'), fence, hold, j.deadline - at, j.failed, j.lost,
  redis.call('HGETALL', P .. 'desired:' .. name), app, entry, j.time }
