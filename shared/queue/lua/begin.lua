-- begin opens a new generation of a config tree, and makes sure that pushes to it are routed even
-- if its first sync is rejected.
--
-- ARGV[1]  config id
-- ARGV[2]  route JSON of the tree
-- ARGV[3…] route refs of the tree
-- Returns  the generation's number.

local P = KEYS[1]
local id, t = ARGV[1], redis.call('TIME')
for i = 3, #ARGV do redis.call('HSET', P .. 'trees:' .. ARGV[i], id, ARGV[2]) end
local generation = redis.call('HINCRBY', P .. 'config:' .. id, 'last_generation', 1)
redis.call('HSET', P .. 'catalog:' .. id, generation, t[1] .. '000')
return generation
