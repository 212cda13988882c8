-- outbox_take.lua gives a sender the first letter of the channel that has been due for longest.
--
-- ARGV[1]  milliseconds that nobody else gets it
-- ARGV[2]  a token of this call
-- ARGV[3]  most tries; a letter whose senders die is given up, too
-- Returns  {} when nothing is due, else {channel, id, created, body, tries before this one, unsure 0|1}
--
-- Safe to repeat with the same token.

local token = P .. 'take:' .. ARGV[2]

-- hand gives the first letter of a channel, whose sending has been noted.
local function hand(channel)
  local created, id, body = parts(redis.call('LINDEX', P .. 'outbox:' .. channel, 0))
  local s = redis.call('HMGET', P .. 'sending:' .. channel, 'tries', 'unsure')
  return { channel, id, text(created), body, tonumber(s[1]) - 1, s[2] == '1' and 1 or 0 }
end

-- note notes that the letter is sent, and says whether it is; one whose tries are spent is not.
local function note(channel, at)
  local key, line = P .. 'sending:' .. channel, redis.call('LINDEX', P .. 'outbox:' .. channel, 0)
  local _, id = parts(line or '')
  local s = redis.call('HMGET', key, 'id', 'tries', 'lease', 'unsure', 'why')
  local same = id and s[1] == id
  local tries, unsure = same and tonumber(s[2]) or 0, same and s[4] or ''
  -- nobody told how the last send ended
  if same and s[3] ~= '' then unsure = '1' end
  if not id or tries >= tonumber(ARGV[3]) then
    if line then
      redis.call('LPOP', P .. 'outbox:' .. channel)
      undeliver(channel, line, id and (s[5] or 'whoever sent it died in it') or 'this is no letter', tries)
    end
    settle(channel, at)
    return false
  end
  redis.call('HSET', key, 'id', id, 'tries', tries + 1, 'lease', ARGV[2], 'unsure', unsure)
  redis.call('ZADD', P .. 'outbox', text(at + tonumber(ARGV[1])), channel)
  redis.call('SET', token, channel, 'EX', 60)
  return true
end

local mine = redis.call('GET', token)
if mine and redis.call('HGET', P .. 'sending:' .. mine, 'lease') == ARGV[2]
  and redis.call('EXISTS', P .. 'outbox:' .. mine) == 1 then
  return hand(mine)
end
local at = now()
for _ = 1, 100 do
  local channel = redis.call('ZRANGEBYSCORE', P .. 'outbox', '-inf', text(at), 'LIMIT', 0, 1)[1]
  if not channel then break end
  if note(channel, at) then return hand(channel) end
end
return {}
