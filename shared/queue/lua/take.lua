-- take hands one waiting job to a launcher.
--
-- ARGV[1]  most jobs that may be active at once
-- ARGV[2]  milliseconds until the machine must have claimed it
-- ARGV[3]  milliseconds until the attempt must be done
-- ARGV[4]  most entries to look at
-- ARGV[5]  a token of this call
-- Returns  {} when nothing waits or too many are active, else
--          {id, JSON, attempt, ms to the start deadline, ms to the run deadline};
--          {'', '', 0, 0, 0} when ARGV[4] entries were looked at and all were stale.
--
-- The high stream is read first. An entry that is not its job's current one is dropped; one that
-- names no job is poison and goes to the dead stream. Safe to repeat with the same token: what it
-- was given is given again, as long as it is launching.

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

-- launch gives the reply for a job that is launching.
local function launch(id, attempt)
  local start = redis.call('ZSCORE', P .. 'active', id)
  local json, run = unpack(redis.call('HMGET', P .. 'job:' .. id, 'job', 'deadline'))
  return { id, json or '', attempt, tonumber(start) - AT, tonumber(run) - AT }
end

local token = P .. 'take:' .. ARGV[5]
local mine = redis.call('GET', token)
if mine then
  local j = load(mine)
  if j and j.state == 'launching' then return launch(mine, j.attempt) end
end
if redis.call('ZCARD', P .. 'active') >= tonumber(ARGV[1]) then return {} end
for _ = 1, tonumber(ARGV[4]) do
  local e = read('jobs') or read('jobs:low')
  if not e then return {} end
  local j = e.job and load(e.job)
  if not j then
    drop(e, 'entry ' .. e.entry .. ' of ' .. e.stream .. ' names no job')
  elseif j.entry ~= e.entry or j.state ~= 'waiting' then
    drop(e)
  else
    local s = P .. j.subject
    local busy = holder(j.subject)
    if busy and busy ~= j.id then
      unqueue(j)
      redis.call('HSET', P .. 'job:' .. j.id, 'state', 'parked', 'entry', '')
      event(j.id, j.subject, 'parked')
    else
      local attempt, start, run = j.attempt + 1, tonumber(ARGV[2]), tonumber(ARGV[3])
      redis.call('ZADD', P .. 'active', text(AT + start), j.id)
      redis.call('HSET', s, 'active', j.id, 'active_kind', j.kind)
      if redis.call('HGET', s, 'next') == j.id then redis.call('HDEL', s, 'next', 'next_kind') end
      redis.call('HSET', P .. 'job:' .. j.id, 'state', 'launching', 'attempt', attempt, 'machine', '', 'fence', '',
        'launched', text(AT), 'deadline', text(AT + run))
      event(j.id, j.subject, 'launching')
      redis.call('SET', token, j.id, 'EX', 60)
      return launch(j.id, attempt)
    end
  end
end
return { '', '', 0, 0, 0 }
