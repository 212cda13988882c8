-- images finds the apps that name an image, for each push to a registry, and says when the push was first told.
--
-- ARGV[1]  seconds that a push is remembered
-- ARGV[2…] 3 per push: image, tag, mark (the digest, or what else tells it from the push before it; or '')
-- Returns  {number of routes, stamp, route JSON…} for each push, one after the other: routes of current
--          generations only. Safe to repeat.
--
-- The stamp is the same for a push that is told again, and another one when the tag was elsewhere meanwhile. A
-- push without a mark has a stamp of its own, and one that nobody follows has none.

local current = {}

-- live tells whether the route is of its tree's current generation.
local function live(generation, config)
  if not current[config] then
    current[config] = redis.call('HGET', P .. 'config:' .. config, 'generation') or '0'
  end
  return current[config] == generation
end

-- stamp gives the time of the push.
local function stamp(image, tag, mark)
  if mark == '' then return text(now()) end
  local key = P .. 'pushed:' .. image .. ':' .. tag
  local at, last = string.match(redis.call('GET', key) or '', '^(%d+) (.*)$')
  if last ~= mark then
    at = text(now())
    redis.call('SET', key, at .. ' ' .. mark, 'EX', ARGV[1])
  end
  return at
end

local out = {}
for i = 2, #ARGV, 3 do
  local seen, count = {}, #out + 1
  out[count], out[count + 1] = 0, '0'
  local cursor = '0'
  repeat
    local reply = redis.call('HSCAN', P .. 'image:' .. ARGV[i], cursor, 'COUNT', 100)
    cursor = reply[1]
    for f = 1, #reply[2], 2 do
      local generation, app, config = string.match(reply[2][f], '^(%d+) (%S+) (.+)$')
      if generation and not seen[app] and live(generation, config) then
        seen[app] = true
        out[count] = out[count] + 1
        out[#out + 1] = reply[2][f + 1]
      end
    end
  until cursor == '0'
  if out[count] > 0 then out[count + 1] = stamp(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
end
return out
