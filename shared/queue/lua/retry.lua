-- retry counts a failed attempt of a runner that tries again itself, on its machine.
--
-- ARGV[1]  id
-- ARGV[2]  fence
-- ARGV[3]  most failed attempts
-- ARGV[4]  failed attempts after this one, so that a repeated call counts once
-- ARGV[5]  why, for people
-- Returns  1 when it may; 0 when the fence is not current, the attempts are spent, the job was
--          cancelled or a newer wish is parked: then nothing was counted, and the claim is given back.

local j = load(ARGV[1])
if not j or j.state ~= 'claimed' or j.fence ~= ARGV[2] or j.cancel then return 0 end
local failed = tonumber(ARGV[4])
if failed == j.failed then return 1 end
if failed ~= j.failed + 1 or failed >= tonumber(ARGV[3]) then return 0 end
if redis.call('HEXISTS', P .. j.subject, 'next') == 1 then return 0 end
redis.call('HSET', P .. 'job:' .. j.id, 'failed', failed, 'detail', ARGV[5])
return 1
