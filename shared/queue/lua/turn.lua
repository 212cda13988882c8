-- turn takes a turn at building an image, or renews it.
--
-- ARGV[1]  image
-- ARGV[2]  who wants it: a name that nobody else has
-- ARGV[3]  milliseconds that it stands
-- Returns  who has it until then. Safe to repeat.
--
-- The deadline stands beside the name, as a server need not expire keys by itself.

local key, at = P .. 'build:' .. ARGV[1], now()
local deadline, holder = string.match(redis.call('GET', key) or '', '^(%d+) (.*)$')
if holder and holder ~= ARGV[2] and tonumber(deadline) > at then return holder end
redis.call('SET', key, text(at + tonumber(ARGV[3])) .. ' ' .. ARGV[2], 'PX', ARGV[3])
return ARGV[2]
