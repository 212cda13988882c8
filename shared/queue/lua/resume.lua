-- resume ends a suspension and lets what was held back wait again.
--
-- ARGV[1]  app or config id
-- ARGV[2]  most jobs to look at
-- Returns  {more 0|1, id…}: the jobs that go on. Safe to repeat, and to break off: what is left over goes on when
--          it is due.

redis.call('HDEL', P .. 'suspended', ARGV[1])
local key = P .. 'suspended:' .. ARGV[1]
local out = { 0 }
for _ = 1, tonumber(ARGV[2]) do
  local id = redis.call('SPOP', key)
  if not id then return out end
  local j = load(id)
  if j and j.state == 'delayed' and j.suspended == ARGV[1] then
    again(j)
    out[#out + 1] = id
  end
end
out[1] = redis.call('EXISTS', key)
return out
