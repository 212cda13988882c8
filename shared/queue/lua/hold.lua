-- hold renews a claim.
--
-- ARGV[1]  id
-- ARGV[2]  fence
-- ARGV[3]  milliseconds that the hold lasts
-- Returns  {stands 0|1, cancelled 0|1, ms that the hold lasts}
--
-- A hold never outlasts the attempt's deadline.

local j = load(ARGV[1])
if not j or j.state ~= 'claimed' or j.fence ~= ARGV[2] then return { 0, 0, 0 } end
local at = now()
local hold = math.min(tonumber(ARGV[3]), j.deadline - at)
if hold <= 0 then return { 0, j.cancel and 1 or 0, 0 } end
redis.call('ZADD', P .. 'active', text(at + hold), j.id)
return { 1, j.cancel and 1 or 0, hold }
