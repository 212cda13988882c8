-- append adds lines to a job's log.
--
-- ARGV[1]  id
-- ARGV[2]  most lines that are kept, about
-- ARGV[3]  seconds that the log of an ended job is kept
-- ARGV[4…] lines
-- Returns  how many were added.

local key = P .. 'log:' .. ARGV[1]
for i = 4, #ARGV do redis.call('XADD', key, 'MAXLEN', '~', ARGV[2], '*', 'line', ARGV[i]) end
local j = load(ARGV[1])
if not j or not (active(j.state) or pending(j.state)) then redis.call('EXPIRE', key, ARGV[3]) end
return #ARGV - 3
