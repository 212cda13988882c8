-- outbox_common.lua stands before the scripts of the outbox: what they share.
--
-- KEYS[1]  the prefix; every key begins with it
--
-- A letter stands in its channel's list as "<created, ms> <id> <body>". How far the sending of the first one is
-- stands in sending:<channel>: id, tries, lease (of who sends it, or sent it and never told; empty after a failure),
-- unsure, why, and the channel's failures in a row. The channel's score in outbox is when somebody may send next: the
-- end of the lease while there is one. Times are Unix milliseconds of this server's own clock.

local P = KEYS[1]

-- now gives the server's time in milliseconds.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- text writes a number without an exponent.
local function text(n) return string.format('%.0f', n) end

-- parts takes a letter apart; nil for one that was put there by hand.
local function parts(line)
  local created, id, body = string.match(line, '^(%d+) (%S+) (.*)$')
  return tonumber(created), id, body
end

-- undeliver keeps a letter that is given up where people see it, without a body that is long.
local function undeliver(channel, line, why, tries)
  local created, id, body = parts(line)
  if not body or #body > 4096 then body = '' end
  redis.call('XADD', P .. 'undelivered', 'MAXLEN', '~', '1000', '*', 'channel', channel, 'letter', id or '', 'why', why,
    'tries', tries, 'created', text(created or 0), 'body', body)
  redis.call('HINCRBY', P .. 'feed', 'undelivered', 1)
end

-- settle lets the letter that is first by now be sent, from due on; a channel without one is forgotten.
local function settle(channel, due)
  redis.call('HDEL', P .. 'sending:' .. channel, 'id', 'tries', 'lease', 'unsure', 'why')
  if redis.call('EXISTS', P .. 'outbox:' .. channel) == 1 then
    redis.call('ZADD', P .. 'outbox', text(due), channel)
  else
    redis.call('ZREM', P .. 'outbox', channel)
    redis.call('DEL', P .. 'sending:' .. channel)
  end
end
