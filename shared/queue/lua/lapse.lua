-- lapse gives up one attempt before its deadline: its machine is known to be gone.
--
-- ARGV[1]  id
-- ARGV[2]  attempt
-- ARGV[3]  why, for people
-- ARGV[4]  most lost attempts
-- ARGV[5]  first backoff in milliseconds
-- ARGV[6]  seconds that an ended job is kept
-- Returns  the job's new state, or '' when that attempt is not active.

local j = load(ARGV[1])
if not j or not active(j.state) or j.attempt ~= tonumber(ARGV[2]) then return '' end
return lose(j, ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), now(), ARGV[6])
