-- outbox_fail.lua puts a letter that did not arrive off, or gives it up.
--
-- ARGV[1]  channel
-- ARGV[2]  the token of the call that gave the letter
-- ARGV[3]  why it did not arrive
-- ARGV[4]  1: no further try can help
-- ARGV[5]  1: it may have arrived all the same
-- ARGV[6]  milliseconds to wait, or 0: the first backoff, doubled with each failure of the channel in a row
-- ARGV[7]  the first backoff in milliseconds
-- ARGV[8]  the longest one
-- ARGV[9]  most tries
-- ARGV[10] milliseconds after which a letter is given up
-- Returns  1, or 0 when another one sends the letter by now, or it is gone. Safe to repeat.

local token, key, list = P .. 'take:' .. ARGV[2], P .. 'sending:' .. ARGV[1], P .. 'outbox:' .. ARGV[1]
if redis.call('GET', token) == '' then return 1 end
if redis.call('HGET', key, 'lease') ~= ARGV[2] then return 0 end
local at, final, wait = now(), ARGV[4] == '1', tonumber(ARGV[6])
local tries, line = tonumber(redis.call('HGET', key, 'tries')), redis.call('LINDEX', list, 0)
if not line then
  settle(ARGV[1], at)
  return 0
end
-- a destination that refuses one letter is there for the next
local failures = final and 1 or redis.call('HINCRBY', key, 'failures', 1)
if wait == 0 then wait = math.min(tonumber(ARGV[7]) * 2 ^ (failures - 1), tonumber(ARGV[8])) end
if final or tries >= tonumber(ARGV[9]) or at + wait - parts(line) > tonumber(ARGV[10]) then
  redis.call('LPOP', list)
  undeliver(ARGV[1], line, ARGV[3], tries)
  settle(ARGV[1], final and at or at + wait)
else
  redis.call('HSET', key, 'lease', '', 'why', ARGV[3])
  if ARGV[5] == '1' then redis.call('HSET', key, 'unsure', '1') end
  redis.call('ZADD', P .. 'outbox', text(at + wait), ARGV[1])
end
redis.call('SET', token, '', 'EX', 60)
return 1
