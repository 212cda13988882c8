-- schema writes the layout's version into an empty server.
--
-- ARGV[1]  the version that this program speaks
-- Returns  the version that the server holds.

local P = KEYS[1]
local have = redis.call('GET', P .. 'schema')
if have then return have end
redis.call('SET', P .. 'schema', ARGV[1])
return ARGV[1]
