-- gone marks apps that a tree is about to stop naming.
--
-- ARGV[1]  config id
-- ARGV[2…] 4 per app: app, entry JSON, commit, new name or ''
-- Returns  how many were marked. Safe to repeat: what is gone already keeps its time and its job.
--
-- The mark counts once a later generation of the tree does not name the app. An app that another tree names is none
-- of this one's business.

local at, n = text(now()), 0
local current = redis.call('HGET', P .. 'config:' .. ARGV[1], 'generation') or '0'
for i = 2, #ARGV, 4 do
  local key = P .. 'tombstone:' .. ARGV[i]
  local entry, config = entry_of(ARGV[i])
  if entry == '' or config == ARGV[1] then
    if entry ~= '' or redis.call('HGET', key, 'tree') ~= ARGV[1] then
      redis.call('DEL', key)
      redis.call('HSET', key, 'tree', ARGV[1], 'since', at, 'generation', current)
    end
    redis.call('HSET', key, 'entry', ARGV[i + 1], 'commit', ARGV[i + 2], 'renamed', ARGV[i + 3])
    redis.call('SADD', P .. 'tombstones:' .. ARGV[1], ARGV[i])
    n = n + 1
  end
end
return n
