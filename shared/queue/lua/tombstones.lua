-- tombstones lists the apps that a tree stopped naming, and forgets those that are named again.
--
-- ARGV[1]  config id
-- Returns  the time in milliseconds, then for each: app, and what is known of it as a flat list.

local key, out = P .. 'tombstones:' .. ARGV[1], { text(now()) }
for _, app in ipairs(redis.call('SMEMBERS', key)) do
  local t = P .. 'tombstone:' .. app
  local m = redis.call('HMGET', t, 'tree', 'generation', 'job', 'outcome')
  local entry, config, generation = entry_of(app)
  if m[1] ~= ARGV[1] then
    redis.call('SREM', key, app)
  elseif entry == '' then
    -- a job that is gone, with the server's memory or by hand, destroys nothing
    if m[3] and not m[4] and not load(m[3]) then redis.call('HDEL', t, 'job') end
    out[#out + 1] = app
    out[#out + 1] = redis.call('HGETALL', t)
  elseif config ~= m[1] or generation ~= m[2] then
    redis.call('DEL', t)
    redis.call('SREM', key, app)
  end
end
return out
