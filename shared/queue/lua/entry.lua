-- entry looks an app up in the current generation of the tree that it belongs to.
--
-- ARGV[1]  app
-- Returns  the entry's JSON, or '' when no tree holds it.

local P = KEYS[1]
local config = redis.call('HGET', P .. 'app:' .. ARGV[1], 'config')
if not config then return '' end
local generation = redis.call('HGET', P .. 'config:' .. config, 'generation') or '0'
return redis.call('HGET', P .. 'catalog:' .. config .. ':' .. generation, ARGV[1]) or ''
