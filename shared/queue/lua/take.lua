-- take hands one waiting job to a launcher.
--
-- ARGV[1]  most jobs that may be active at once
-- ARGV[2]  milliseconds until the machine must have claimed it
-- ARGV[3]  milliseconds until the attempt must be done
-- ARGV[4]  most entries to look at
-- ARGV[5]  a token of this call
-- ARGV[6]  most jobs to hand out
-- Returns  {stopped 0|1, then per job: id, JSON, attempt, ms to the start deadline, ms to the run
--          deadline}; stopped is 1 when ARGV[4] entries were looked at and there may be more.
--
-- The high stream is read first. An entry that is not its job's current one is dropped; one that
-- names no job is poison and goes to the dead stream. Safe to repeat with the same token: what it
-- was given is given again, as far as it is launching.

-- read takes the next entry of one stream, making the group when there is none.
local function read(stream)
  local args = { 'XREADGROUP', 'GROUP', GROUP, LAUNCH, 'COUNT', 1, 'STREAMS', P .. stream, '>' }
  local reply = redis.pcall(unpack(args))
  if reply and reply.err then
    if not string.find(reply.err, 'NOGROUP', 1, true) then return nil end
    redis.call('XGROUP', 'CREATE', P .. stream, GROUP, '0', 'MKSTREAM')
    reply = redis.call(unpack(args))
  end
  if not reply or not reply[1] or not reply[1][2][1] then return nil end
  local e = reply[1][2][1]
  return { stream = stream, entry = e[1], job = e[2] and e[2][1] == 'job' and e[2][2] or nil, machine = '' }
end

local AT = now()

-- drop removes an entry that leads nowhere; poison stays visible.
local function drop(e, why)
  redis.call('XACK', P .. e.stream, GROUP, e.entry)
  redis.call('XDEL', P .. e.stream, e.entry)
  if why then
    redis.call('XADD', P .. 'dead', 'MAXLEN', '~', '10000', '*', 'job', e.job or '', 'subject', '', 'why', why)
  end
end

local out = { 0 }

-- hand adds a job that is launching to the reply.
local function hand(id, attempt)
  local json, run = unpack(redis.call('HMGET', P .. 'job:' .. id, 'job', 'deadline'))
  out[#out + 1] = id
  out[#out + 1] = json or ''
  out[#out + 1] = attempt
  out[#out + 1] = tonumber(redis.call('ZSCORE', P .. 'active', id)) - AT
  out[#out + 1] = tonumber(run) - AT
end

-- launch marks a job as launching.
local function launch(j)
  local s, attempt = P .. j.subject, j.attempt + 1
  redis.call('ZADD', P .. 'active', text(AT + tonumber(ARGV[2])), j.id)
  redis.call('HSET', s, 'active', j.id, 'active_kind', j.kind)
  if redis.call('HGET', s, 'next') == j.id then redis.call('HDEL', s, 'next', 'next_kind') end
  redis.call('HSET', P .. 'job:' .. j.id, 'state', 'launching', 'attempt', attempt, 'machine', '', 'fence', '',
    'launched', text(AT), 'deadline', text(AT + tonumber(ARGV[3])))
  event(j.id, j.subject, 'launching')
  hand(j.id, attempt)
end

-- judge does with an entry what is right, and returns its job's id when that is to be launched.
local function judge(e)
  local j = e.job and load(e.job)
  if not j then
    drop(e, 'entry ' .. e.entry .. ' of ' .. e.stream .. ' names no job')
  elseif j.entry ~= e.entry or j.state ~= 'waiting' then
    drop(e)
  else
    local busy = holder(j.subject)
    if not busy or busy == j.id then
      launch(j)
      return j.id
    end
    drop(e)
    park(j)
  end
  return nil
end

local token = P .. 'take:' .. ARGV[5]
local mine = redis.call('GET', token)
if mine then
  for id in string.gmatch(mine, '%S+') do
    local j = load(id)
    if j and j.state == 'launching' then hand(id, j.attempt) end
  end
  if #out > 1 then return out end
end
local free_places, ids = tonumber(ARGV[1]) - redis.call('ZCARD', P .. 'active'), {}
local count = math.min(tonumber(ARGV[6]), free_places)
for looked = 1, tonumber(ARGV[4]) do
  if #ids >= count then break end
  local e = read('jobs') or read('jobs:low')
  if not e then break end
  ids[#ids + 1] = judge(e)
  if looked == tonumber(ARGV[4]) then out[1] = 1 end
end
if #ids > 0 then redis.call('SET', token, table.concat(ids, ' '), 'EX', 60) end
return out
