-- audit lists what breaks the rules of the layout, as of one instant. It walks every job: it is
-- for tests, and for people who doubt.
--
-- Returns  a sentence for each rule that is broken.

local found, at = {}, now()
local function broken(id, what) found[#found + 1] = id .. ': ' .. what end

local ended = {
  created = true, updated = true, unchanged = true, superseded = true, cancelled = true, rejected = true, failed = true,
}

-- check holds a job against its subject, its entry and the sets.
local function check(id)
  local j = load(id)
  if not j then return broken(id, 'is no job') end
  local s = redis.call('HMGET', P .. j.subject, 'active', 'next')
  local in_active = redis.call('ZSCORE', P .. 'active', id)
  local in_delayed = redis.call('ZSCORE', P .. 'delayed', id)
  local e = j.entry ~= '' and redis.call('XRANGE', P .. j.stream, j.entry, j.entry)[1]
  local queued = e and e[2][1] == 'job' and e[2][2] == id
  if not (active(j.state) or pending(j.state) or ended[j.state]) then broken(id, 'has no legal state: ' .. j.state) end
  if active(j.state) ~= (in_active and true or false) then broken(id, 'is ' .. j.state .. ', the active set differs') end
  if active(j.state) ~= (s[1] == id) then broken(id, 'is ' .. j.state .. ', active of ' .. j.subject .. ' is ' .. (s[1] or 'none')) end
  if pending(j.state) ~= (s[2] == id) then broken(id, 'is ' .. j.state .. ', next of ' .. j.subject .. ' is ' .. (s[2] or 'none')) end
  if (j.state == 'delayed') ~= (in_delayed and true or false) then broken(id, 'is ' .. j.state .. ', the delayed set differs') end
  local entered = redis.call('HGET', P .. 'job:' .. id, 'entered') -- such a job never waits
  if (j.state == 'waiting' or active(j.state) and not entered) ~= (queued and true or false) then broken(id, 'is ' .. j.state .. ', its entry differs') end
  if j.waits ~= '' then
    if redis.call('SISMEMBER', P .. 'waits:' .. j.waits, id) == 0 then broken(id, 'waits for ' .. j.waits .. ', which does not know') end
    if j.state ~= 'delayed' and j.state ~= 'failed' and j.state ~= 'rejected' then broken(id, 'is ' .. j.state .. ' and waits for ' .. j.waits) end
  end
  if j.suspended ~= '' then
    if redis.call('SISMEMBER', P .. 'suspended:' .. j.suspended, id) == 0 then broken(id, 'is held back by ' .. j.suspended .. ', which does not know') end
    if j.state ~= 'delayed' then broken(id, 'is ' .. j.state .. ' and held back by ' .. j.suspended) end
  end
  if j.state == 'waiting' and j.floor > at then broken(id, 'waits before its time') end
  if (s[1] or s[2]) and redis.call('TTL', P .. j.subject) >= 0 then broken(id, 'has a subject with a TTL: ' .. j.subject) end
  if j.state == 'parked' and not s[1] then broken(id, 'is parked behind nothing') end
  if j.state == 'waiting' and s[1] then broken(id, 'waits although ' .. s[1] .. ' is active') end
  if (redis.call('TTL', P .. 'job:' .. id) > 0) ~= (ended[j.state] or false) then broken(id, 'is ' .. j.state .. ', its TTL differs') end
end

local cursor = '0'
repeat
  local reply = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. 'job:*', 'COUNT', 1000)
  cursor = reply[1]
  for _, key in ipairs(reply[2]) do check(string.sub(key, #P + 5)) end
until cursor == '0'

for _, why in ipairs({ 'waits', 'suspended' }) do
  repeat
    local reply = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. why .. ':*', 'COUNT', 1000)
    cursor = reply[1]
    for _, key in ipairs(reply[2]) do
      for _, id in ipairs(redis.call('SMEMBERS', key)) do
        local j = load(id)
        if j and P .. why .. ':' .. j[why] ~= key then broken(id, 'is in ' .. key .. ' and its ' .. why .. ' is ' .. j[why]) end
      end
    end
  until cursor == '0'
end

for _, stream in ipairs({ 'jobs', 'jobs:low' }) do
  for _, e in ipairs(redis.call('XRANGE', P .. stream, '-', '+')) do
    local j = e[2][1] == 'job' and load(e[2][2])
    if not j or j.entry ~= e[1] then broken(e[1], 'of ' .. stream .. ' is no job\'s current entry') end
  end
  local list = redis.pcall('XPENDING', P .. stream, GROUP, '-', '+', 1000)
  for _, p in ipairs(list.err and {} or list) do
    local e = redis.call('XRANGE', P .. stream, p[1], p[1])[1]
    local j = e and load(e[2][2])
    if not j or not active(j.state) then broken(p[1], 'of ' .. stream .. ' is pending for no active job') end
  end
end
for _, set in ipairs({ 'active', 'delayed' }) do
  for _, id in ipairs(redis.call('ZRANGE', P .. set, 0, -1)) do
    if not load(id) then broken(id, 'is in ' .. set .. ' and no job') end
  end
end
return found
