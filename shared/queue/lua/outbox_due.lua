-- outbox_due.lua says when a letter may be sent next.
--
-- Returns  {ms until then or -1, letters that wait or are being sent}

local first, n = redis.call('ZRANGE', P .. 'outbox', 0, 0, 'WITHSCORES'), 0
for _, channel in ipairs(redis.call('ZRANGE', P .. 'outbox', 0, -1)) do
  n = n + redis.call('LLEN', P .. 'outbox:' .. channel)
end
return { first[2] and math.max(tonumber(first[2]) - now(), 0) or -1, n }
