-- saw notes what a tree looked like when a sync was done to its end, and that it was found so at an order.
--
-- ARGV[1]  config id
-- ARGV[2]  generation that was found there
-- ARGV[3]  commit
-- ARGV[4]  time
-- ARGV[5]  before
-- ARGV[6]  after
-- ARGV[7]  fence of the claim under which it was read; 0: none
-- ARGV[8]  what it looked like
-- Returns  1, or 0 when the tree is at another generation or a newer order, or was claimed anew. Safe to repeat.

local key = P .. 'config:' .. ARGV[1]
local m = redis.call('HMGET', key, 'generation', 'order_time', 'order_before', 'order_after')
if m[1] ~= ARGV[2] then return 0 end
if ARGV[7] ~= '0' and redis.call('HGET', key, 'fence') ~= ARGV[7] then return 0 end
local mine = { time = tonumber(ARGV[4]), before = ARGV[5], after = ARGV[6] }
if m[2] and compare(mine, { time = tonumber(m[2]), before = m[3], after = m[4] }) < 0 then return 0 end
redis.call('HSET', key, 'commit', ARGV[3], 'order_time', ARGV[4], 'order_before', ARGV[5], 'order_after', ARGV[6],
  'sight', ARGV[8], 'sight_generation', ARGV[2])
return 1
