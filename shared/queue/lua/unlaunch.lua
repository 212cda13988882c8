-- unlaunch takes a launch back that is known to have made no machine: it spends no attempt.
--
-- ARGV[1]  id
-- ARGV[2]  attempt
-- ARGV[3]  milliseconds until the job may be taken again
-- ARGV[4]  seconds that an ended job is kept
-- Returns  the job's state after it, or '' when the launch is not the current one.

local j = load(ARGV[1])
if not j or j.state ~= 'launching' or j.attempt ~= tonumber(ARGV[2]) then return '' end
local at = now()
redis.call('HSET', P .. 'job:' .. j.id, 'attempt', j.attempt - 1)
return back(j, at + tonumber(ARGV[3]), at, ARGV[4])
