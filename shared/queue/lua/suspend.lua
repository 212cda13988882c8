-- suspend holds back what nobody asked for by hand, of one app or of a config tree and its apps.
--
-- ARGV[1]  app or config id
-- ARGV[2]  by whom and why, as JSON
-- Returns  since when, in milliseconds. Safe to repeat: the time stays, the reason is the last one.

local since = string.match(redis.call('HGET', P .. 'suspended', ARGV[1]) or '', '^(%d+) ') or text(now())
redis.call('HSET', P .. 'suspended', ARGV[1], since .. ' ' .. ARGV[2])
return since
