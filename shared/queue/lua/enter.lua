-- enter makes a job that a person's own process does: it never waits, and no machine is launched.
--
-- ARGV[1]  id
-- ARGV[2]  kind
-- ARGV[3]  subject key
-- ARGV[4]  JSON
-- ARGV[5]  milliseconds until the process must have claimed it
-- ARGV[6]  milliseconds until the attempt must be done
-- ARGV[7]  failed attempts that are taken as spent, so that the one at hand is the last
-- ARGV[8]  lost attempts, likewise
-- Returns  the id of the subject's active job: the job's own when it has entered.
--
-- The job is launching afterwards, at its first and last attempt, and is claimed like any other. It
-- is in no stream and wishes nothing: what waits for the subject is parked until it has ended.
-- Safe to repeat.

if load(ARGV[1]) then return holder(ARGV[3]) or '' end
local busy = holder(ARGV[3])
if busy then return busy end
local at = now()
local next_id = redis.call('HGET', P .. ARGV[3], 'next')
local n = next_id and load(next_id)
if n and n.state == 'waiting' then
  unqueue(n)
  park(n)
end
redis.call('HSET', P .. 'job:' .. ARGV[1], 'job', ARGV[4], 'kind', ARGV[2], 'subject', ARGV[3], 'stream', 'jobs',
  'state', 'launching', 'side', '', 'entry', '', 'time', text(at), 'before', '', 'after', '', 'queued', text(at),
  'launched', text(at), 'attempt', 1, 'machine', '', 'fence', '', 'failed', ARGV[7], 'lost', ARGV[8], 'entered', 1,
  'deadline', text(at + tonumber(ARGV[6])))
redis.call('ZADD', P .. 'active', text(at + tonumber(ARGV[5])), ARGV[1])
redis.call('HSET', P .. ARGV[3], 'active', ARGV[1], 'active_kind', ARGV[2])
dig({ id = ARGV[1], kind = ARGV[2], subject = ARGV[3] })
event(ARGV[1], ARGV[3], 'launching')
return ARGV[1]
