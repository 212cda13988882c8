-- outbox_done.lua takes a letter that arrived off its channel.
--
-- ARGV[1]  channel
-- ARGV[2]  the token of the call that gave the letter
-- Returns  1, or 0 when another one sends the letter by now, or it is gone. Safe to repeat.

local token, key = P .. 'take:' .. ARGV[2], P .. 'sending:' .. ARGV[1]
if redis.call('GET', token) == '' then return 1 end
if redis.call('HGET', key, 'lease') ~= ARGV[2] then return 0 end
redis.call('LPOP', P .. 'outbox:' .. ARGV[1])
redis.call('HDEL', key, 'failures')
settle(ARGV[1], now())
redis.call('SET', token, '', 'EX', 60)
return 1
