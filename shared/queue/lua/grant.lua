-- grant binds one attempt to the first machine that asks, and says what the machine is for.
--
-- ARGV[1]  id
-- ARGV[2]  attempt
-- ARGV[3]  machine
-- Returns  {0, state} when refused, else {1, JSON, ms to the run deadline, catalog entry or '', include JSON…}
--
-- Only while the job is launching at its attempt, or claimed by this machine. Again for the same machine is fine. The
-- includes are those of the tree that the job is of.

local j = load(ARGV[1])
if not j then return { 0, 'unknown' } end
if j.attempt ~= tonumber(ARGV[2]) then return { 0, j.state .. ' at attempt ' .. j.attempt } end
if j.state ~= 'launching' and not (j.state == 'claimed' and j.machine == ARGV[3]) then return { 0, j.state } end
local granted = redis.call('HGET', P .. 'job:' .. j.id, 'granted') or ''
if granted ~= '' and granted ~= ARGV[3] then return { 0, 'granted to another machine' } end
local left = j.deadline - now()
if left <= 0 then return { 0, 'past its deadline' } end
redis.call('HSET', P .. 'job:' .. j.id, 'granted', ARGV[3])
local name = string.match(j.subject, ':(.*)')
local entry, config, generation = entry_of(name)
if config == '' then
  config = string.match(j.subject, '^plan:pull:%d+:(.*)') or name
  generation = redis.call('HGET', P .. 'config:' .. config, 'generation') or '0'
end
return { 1, redis.call('HGET', P .. 'job:' .. j.id, 'job'), left, entry,
  unpack(redis.call('SMEMBERS', P .. 'includes:' .. config .. ':' .. generation)) }
