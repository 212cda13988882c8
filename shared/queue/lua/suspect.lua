-- suspect remembers sightings, so that nothing is done on a single one.
--
-- ARGV[1]  kind
-- ARGV[2]  milliseconds that a sighting must be old to count
-- ARGV[3]  seconds that sightings are remembered
-- ARGV[4…] what is seen now
-- Returns  those of them that were seen before, that long ago. What is not seen now is forgotten.

local key, at, seen, confirmed = P .. 'orphans:' .. ARGV[1], now(), {}, {}
for i = 4, #ARGV do seen[ARGV[i]] = true end
for _, id in ipairs(redis.call('HKEYS', key)) do
  if not seen[id] then redis.call('HDEL', key, id) end
end
for i = 4, #ARGV do
  local first = tonumber(redis.call('HGET', key, ARGV[i]))
  if not first then
    redis.call('HSET', key, ARGV[i], text(at))
  elseif at - first >= tonumber(ARGV[2]) then
    confirmed[#confirmed + 1] = ARGV[i]
  end
end
redis.call('EXPIRE', key, ARGV[3])
return confirmed
