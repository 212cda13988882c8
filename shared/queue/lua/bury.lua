-- bury ends an active job that cannot even be read.
--
-- ARGV[1]  id
-- ARGV[2]  why, for people
-- ARGV[3]  seconds that an ended job is kept
-- Returns  1, or 0 when the job is not active.

local j = load(ARGV[1])
if not j or not active(j.state) then return 0 end
free(j)
dead(j, ARGV[2], now(), ARGV[3])
follow(j.subject)
return 1
