-- unturn ends a turn, if it is still the caller's.
--
-- ARGV[1]  image
-- ARGV[2]  who had it
-- Returns  1, or 0 when somebody else has it by now, or nobody. Safe to repeat.

local P = KEYS[1]
local key = P .. 'build:' .. ARGV[1]
local holder = string.match(redis.call('GET', key) or '', '^%d+ (.*)$')
if holder ~= ARGV[2] then return 0 end
return redis.call('DEL', key)
