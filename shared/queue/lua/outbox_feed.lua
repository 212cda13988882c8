-- outbox_feed.lua appends letters and moves the cursor over the events that they tell of, at once.
--
-- ARGV[1]  the cursor as the caller read it
-- ARGV[2]  the cursor from now on
-- ARGV[3]  a token of this call
-- ARGV[4]  most letters of a channel
-- ARGV[5]  most letters of all channels
-- ARGV[6…] 4 per letter: channel, id, body, why it is not to be sent (or '')
-- Returns  1, or 0 when the cursor is elsewhere: another one fed these events.
--
-- Safe to repeat with the same token. The oldest letters go when there are too many, but for one that is being
-- sent: the letter after it must not overtake it.

local feed = redis.call('HMGET', P .. 'feed', 'cursor', 'by')
if (feed[1] or '') ~= ARGV[1] then return feed[2] == ARGV[3] and 1 or 0 end
redis.call('HSET', P .. 'feed', 'cursor', ARGV[2], 'by', ARGV[3])
local at = now()

-- sent tells whether somebody sends the channel's first letter now.
local function sent(channel)
  return (redis.call('HGET', P .. 'sending:' .. channel, 'lease') or '') ~= ''
    and tonumber(redis.call('ZSCORE', P .. 'outbox', channel) or 0) > at
end

-- drop gives up the oldest letter of a channel that nobody sends, if there is one.
local function drop(channel, why)
  local key = P .. 'outbox:' .. channel
  local first = sent(channel) and redis.call('LPOP', key)
  local line = redis.call('LPOP', key)
  if first then
    redis.call('LPUSH', key, first)
  else
    settle(channel, tonumber(redis.call('ZSCORE', P .. 'outbox', channel) or at))
  end
  if line then undeliver(channel, line, why, 0) end
end

-- oldest gives the channels that have a letter which may be dropped, by the age of that.
local function oldest()
  local list = {}
  for _, channel in ipairs(redis.call('ZRANGE', P .. 'outbox', 0, -1)) do
    local line = redis.call('LINDEX', P .. 'outbox:' .. channel, sent(channel) and 1 or 0)
    if line then list[#list + 1] = { parts(line) or 0, channel } end
  end
  table.sort(list, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  return list
end

-- thin drops letters until there are no more than most.
local function thin(most)
  local total = 0
  for _, channel in ipairs(redis.call('ZRANGE', P .. 'outbox', 0, -1)) do
    total = total + redis.call('LLEN', P .. 'outbox:' .. channel)
  end
  while total > most do
    local list = oldest()
    if #list == 0 then return end
    for _, o in ipairs(list) do
      if total <= most then return end
      drop(o[2], 'more than ' .. text(most) .. ' letters waited')
      total = total - 1
    end
  end
end

for i = 6, #ARGV, 4 do
  local channel, line = ARGV[i], text(at) .. ' ' .. ARGV[i + 1] .. ' ' .. ARGV[i + 2]
  if ARGV[i + 3] ~= '' then
    undeliver(channel, line, ARGV[i + 3], 0)
  else
    redis.call('ZADD', P .. 'outbox', 'NX', text(at), channel)
    if redis.call('RPUSH', P .. 'outbox:' .. channel, line) > tonumber(ARGV[4]) then
      drop(channel, 'more than ' .. ARGV[4] .. ' letters waited for ' .. channel)
    end
  end
end
thin(tonumber(ARGV[5]))
return 1
