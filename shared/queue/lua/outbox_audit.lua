-- outbox_audit lists what breaks the rules of the outbox, as of one instant. It walks every key: it is for tests, and
-- for people who doubt.
--
-- ARGV[1]  the prefix as a pattern
-- Returns  a sentence for each rule that is broken.

local found = {}
local function broken(channel, what) found[#found + 1] = 'channel ' .. channel .. ': ' .. what end

for _, channel in ipairs(redis.call('ZRANGE', P .. 'outbox', 0, -1)) do
  if redis.call('EXISTS', P .. 'outbox:' .. channel) == 0 then broken(channel, 'is due and has no letter') end
end

local cursor = '0'
repeat
  local reply = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*', 'COUNT', 1000)
  cursor = reply[1]
  for _, key in ipairs(reply[2]) do
    local kind, channel = string.match(string.sub(key, #P + 1), '^(%a+):(.*)$')
    if kind == 'outbox' or kind == 'sending' then
      if not redis.call('ZSCORE', P .. 'outbox', channel) then broken(channel, 'is never due and has a key ' .. kind) end
      local _, id = parts(redis.call('LINDEX', P .. 'outbox:' .. channel, 0) or '')
      local s = redis.call('HMGET', P .. 'sending:' .. channel, 'id', 'tries', 'lease')
      if s[1] and s[1] ~= id then broken(channel, 'sends ' .. s[1] .. ', which is not its first letter') end
      if (s[1] and true or false) ~= (s[2] and true or false) then broken(channel, 'knows half of what it sends') end
    end
  end
until cursor == '0'
return found
