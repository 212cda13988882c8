-- write adds entries and their routes to a generation that readers do not see yet.
--
-- ARGV[1]  config id
-- ARGV[2]  generation
-- ARGV[3]  milliseconds after which an unfinished generation of another tree claims nothing more
-- ARGV[4…] per entry: app, JSON, the apps that it depends on, number of routes, then per route: key without the prefix, JSON
-- Returns  {app, config id that holds it, …} for the entries that were not written.
--
-- An app belongs to one tree. The claim moves when the tree that has it no longer names it.

local id, generation, at = ARGV[1], ARGV[2], now()

-- holds tells whether another tree names the app, now or in a generation that is being written.
local function holds(config, app)
  local current = redis.call('HGET', P .. 'config:' .. config, 'generation') or '0'
  if redis.call('HEXISTS', P .. 'catalog:' .. config .. ':' .. current, app) == 1 then return true end
  local list = redis.call('HGETALL', P .. 'catalog:' .. config)
  for i = 1, #list, 2 do
    if tonumber(list[i]) > tonumber(current) and at - tonumber(list[i + 1]) < tonumber(ARGV[3])
      and redis.call('HEXISTS', P .. 'catalog:' .. config .. ':' .. list[i], app) == 1 then
      return true
    end
  end
  return false
end

local conflicts, i = {}, 4
while i <= #ARGV do
  local app, json, needs, routes = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local owner = redis.call('HGET', P .. 'app:' .. app, 'config')
  if owner and owner ~= id and holds(owner, app) then
    conflicts[#conflicts + 1] = app
    conflicts[#conflicts + 1] = owner
  else
    if owner ~= id then redis.call('HSET', P .. 'app:' .. app, 'config', id) end
    redis.call('HSET', P .. 'catalog:' .. id .. ':' .. generation, app, json)
    if needs ~= '' then redis.call('HSET', P .. 'needs:' .. id .. ':' .. generation, app, needs) end
    for r = 1, routes do
      local at_ref = i + 2 + 2 * r
      redis.call('HSET', P .. ARGV[at_ref], generation .. ' ' .. app .. ' ' .. id, ARGV[at_ref + 1])
    end
  end
  i = i + 4 + 2 * routes
end
return conflicts
