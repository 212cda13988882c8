-- switch makes a generation the current one of its tree, if its order is not older. Orders of one tick
-- cannot be told apart: there a reader that lost its claim, and comes late, is known by its fence alone.
--
-- ARGV[1]  config id
-- ARGV[2]  generation
-- ARGV[3]  commit
-- ARGV[4]  time
-- ARGV[5]  before
-- ARGV[6]  after
-- ARGV[7]  fence of the claim under which it was read; 0: none
-- Returns  1, or 0 when the tree already stands at a newer order or was claimed anew. Safe to repeat.

local key = P .. 'config:' .. ARGV[1]
local m = redis.call('HMGET', key, 'generation', 'order_time', 'order_before', 'order_after')
if m[1] == ARGV[2] then return 1 end
if ARGV[7] ~= '0' and redis.call('HGET', key, 'fence') ~= ARGV[7] then return 0 end
local mine = { time = tonumber(ARGV[4]), before = ARGV[5], after = ARGV[6] }
if m[2] and compare(mine, { time = tonumber(m[2]), before = m[3], after = m[4] }) < 0 then return 0 end
redis.call('HSET', key, 'generation', ARGV[2], 'commit', ARGV[3], 'order_time', ARGV[4], 'order_before', ARGV[5],
  'order_after', ARGV[6])
return 1
