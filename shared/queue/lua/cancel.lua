-- cancel calls a job off: one that waits ends at once, an active one is told at its next hold. One that
-- ended for the sake of another app does not come back.
--
-- ARGV[1]  id
-- ARGV[2]  seconds that an ended job is kept
-- Returns  the job's state after it, or '' when there is no such job.

local j = load(ARGV[1])
if not j then return '' end
if active(j.state) then
  redis.call('HSET', P .. 'job:' .. j.id, 'cancel', 1)
  return j.state
end
if not pending(j.state) then
  unwait(j)
  return j.state
end
local s = P .. j.subject
withdraw(j)
if redis.call('HGET', s, 'next') == j.id then redis.call('HDEL', s, 'next', 'next_kind') end
close(j, 'cancelled', now(), ARGV[2])
return 'cancelled'
