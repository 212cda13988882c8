-- routes finds what a push concerns, in time that depends on the matches alone.
--
-- ARGV[1]  most apps; 0: no limit
-- ARGV[2…] route refs: host/path@ref
-- Returns  {more 0|1, route JSON…}: config trees first, then apps, of current generations.
--
-- The field of an app's route is "<generation> <app> <config id>", that of a route to a tree which includes the
-- repository "<generation> <config id>", and that of a tree's own route its id.

local P = KEYS[1]
local limit, current, seen, trees, apps, more = tonumber(ARGV[1]), {}, {}, {}, {}, 0

-- live tells whether the route is of its tree's current generation.
local function live(generation, config)
  if not current[config] then
    current[config] = redis.call('HGET', P .. 'config:' .. config, 'generation') or '0'
  end
  return current[config] == generation
end

-- scan adds the apps of one ref, and stops after the limit.
local function scan(key)
  local cursor = '0'
  repeat
    local reply = redis.call('HSCAN', key, cursor, 'COUNT', 50)
    cursor = reply[1]
    for i = 1, #reply[2], 2 do
      local generation, app, config = string.match(reply[2][i], '^(%d+) (%S+) (.+)$')
      if generation and not seen[app] and live(generation, config) then
        if limit > 0 and #apps >= limit then more = 1 return end
        seen[app] = true
        apps[#apps + 1] = reply[2][i + 1]
      end
    end
  until cursor == '0'
end

for i = 2, #ARGV do
  local reply = redis.call('HGETALL', P .. 'trees:' .. ARGV[i])
  for f = 1, #reply, 2 do
    local generation, id = string.match(reply[f], '^(%d+) (.+)$')
    if not generation then id = reply[f] end
    if not seen[id] and (not generation or live(generation, id)) then
      seen[id] = true
      trees[#trees + 1] = reply[f + 1]
    end
  end
  if more == 0 then scan(P .. 'repo:' .. ARGV[i]) end
end
local out = { more }
for _, r in ipairs(trees) do out[#out + 1] = r end
for _, r in ipairs(apps) do out[#out + 1] = r end
return out
