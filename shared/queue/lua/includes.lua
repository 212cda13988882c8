-- includes routes pushes of the repositories that a tree includes to the tree, once its generation is the current one.
--
-- ARGV[1]  config id
-- ARGV[2]  generation
-- ARGV[3]  route JSON of the tree
-- ARGV[4…] per include: JSON, number of route refs, then these
-- Returns  how many there are. Safe to repeat.

local P = KEYS[1]
local id, generation, i, n = ARGV[1], ARGV[2], 4, 0
while i <= #ARGV do
  local refs = tonumber(ARGV[i + 1])
  redis.call('SADD', P .. 'includes:' .. id .. ':' .. generation, ARGV[i])
  for r = 1, refs do redis.call('HSET', P .. 'trees:' .. ARGV[i + 1 + r], generation .. ' ' .. id, ARGV[3]) end
  i, n = i + 2 + refs, n + 1
end
return n
