-- take hands one waiting job to a launcher.
--
-- ARGV[1]  most jobs that may be active at once
-- ARGV[2]  milliseconds until the machine must have claimed it
-- ARGV[3]  milliseconds until the attempt must be done
-- ARGV[4]  most entries to look at
-- ARGV[5]  a token of this call
-- ARGV[6]  most jobs to hand out
-- ARGV[7]  milliseconds that a deploy waits for an app that was never deployed and has no job
-- ARGV[8]  seconds that an ended job is kept
-- ARGV[9]  1: only the machine that Grant lets in may claim what is handed out
-- ARGV[10] milliseconds until a job that is held back by a suspension is looked at again
-- Returns  {stopped 0|1, then per job: id, JSON, attempt, ms to the start deadline, ms to the run
--          deadline}; stopped is 1 when ARGV[4] entries were looked at and there may be more.
--
-- The high stream is read first. An entry that is not its job's current one is dropped; one that
-- names no job is poison and goes to the dead stream. Safe to repeat with the same token: what it
-- was given is given again, as far as it is launching.
--
-- A deploy whose app depends on others is handed out when each of those has been deployed well, at this
-- wish or a later one, or has nothing to do. Until then it is delayed, and the end of the other's job
-- lets it be looked at again. It ends when the other one's last job ended badly, and comes back when a
-- later one ends well.
--
-- What nobody asked for by hand is delayed while its app or its tree is suspended; a plan changes nothing.

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
    'launched', text(AT), 'deadline', text(AT + tonumber(ARGV[3])), 'sealed', ARGV[9], 'granted', '')
  redis.call('HDEL', P .. 'job:' .. j.id, 'since')
  event(j.id, j.subject, 'launching')
  hand(j.id, attempt)
end

-- needs gives the apps that an app depends on, by its tree's current generation, and whether that
-- names it.
local function needs(app)
  local out, config = {}, redis.call('HGET', P .. 'app:' .. app, 'config')
  if not config then return out, false end
  local at = config .. ':' .. (redis.call('HGET', P .. 'config:' .. config, 'generation') or '0')
  for name in string.gmatch(redis.call('HGET', P .. 'needs:' .. at, app) or '', '%S+') do out[#out + 1] = name end
  return out, redis.call('HEXISTS', P .. 'catalog:' .. at, app) == 1
end

-- circle gives the shortest way on which an app comes to depend on itself, and the first step of it.
-- Trees that each know half of it cannot see it.
local function circle(app)
  local from, line, i = {}, { app }, 1
  while line[i] and i <= 1000 do
    for _, name in ipairs(needs(line[i])) do
      if name == app then
        local way, step, first = app, line[i], app
        while step ~= app do
          way, first = step .. ' → ' .. way, step
          step = from[step]
        end
        return app .. ' → ' .. way, first
      end
      if not from[name] then
        from[name] = line[i]
        line[#line + 1] = name
      end
    end
    i = i + 1
  end
  return nil
end

-- deploying tells whether an app has a deploy that has not ended.
local function deploying(s, subject)
  if s[1] == 'deploy' and holder(subject) then return true end
  local n = s[2] == 'deploy' and s[3] and load(s[3])
  return n and pending(n.state)
end

-- obstacle gives what keeps a deploy from being begun: an outcome, or 'delayed', with the app that it
-- is for, a sentence, and when to look again at the latest; nil where nothing does.
local function obstacle(j)
  local name = string.match(j.subject, ':(.*)')
  local list = j.kind == 'deploy' and needs(name) or {}
  local way, first = circle(name)
  if #list > 0 and way then return { 'rejected', first, 'depends_on goes in a circle: ' .. way .. ': take one of them out' } end
  local wait = nil
  for _, other in ipairs(list) do
    local s = redis.call('HMGET', P .. 'app:' .. other, 'active_kind', 'next_kind', 'next', 'result', 'trouble', 'done')
    if not s[4] or (tonumber(s[6]) or 0) < j.time then
      if deploying(s, 'app:' .. other) then
        wait = wait or { 'delayed', other, 'waits for ' .. other .. ', which it depends on', AT + 3600000 }
      elseif s[5] then
        return { 'failed', other, 'not deployed: ' .. other .. ', which it depends on, was last ' .. s[5] ..
          '; when a deploy of that succeeds, this follows by itself' }
      elseif not s[4] and select(2, needs(other)) then
        local due = (tonumber(redis.call('HGET', P .. 'job:' .. j.id, 'since')) or AT) + tonumber(ARGV[7])
        if due <= AT then
          return { 'failed', other, 'not deployed: ' .. other .. ', which it depends on, was never deployed; run `flycd dispatch ' ..
            other .. '`, and this follows by itself' }
        end
        wait = wait or { 'delayed', other, 'waits for ' .. other .. ', which it depends on and which was never deployed', due }
      end
    end
  end
  return wait
end

-- refrain does not launch a job that was read.
local function refrain(j, o)
  local key, s = P .. 'job:' .. j.id, P .. j.subject
  j.entry = ''
  if o[1] == 'delayed' then
    redis.call('HSETNX', key, 'since', text(AT))
    delay(j, o[4])
  else
    if redis.call('HGET', s, 'next') == j.id then redis.call('HDEL', s, 'next', 'next_kind') end
    redis.call('HSET', s, 'last', j.id, 'last_outcome', o[1])
    if o[1] == 'failed' then dead(j, o[3], AT, ARGV[8]) else close(j, o[1], AT, ARGV[8]) end
    -- it may come back, which takes as long as it takes to mend the other
    redis.call('EXPIRE', key, 8 * tonumber(ARGV[8]))
  end
  redis.call('HSET', key, 'waits', o[2], 'detail', o[3])
  redis.call('SADD', P .. 'waits:' .. o[2], j.id)
end

-- suspension gives the suspended app or tree that a job is of; nil where none is.
local some
local function suspension(j)
  if j.kind == 'plan' or j.hand ~= '' then return nil end
  if some == nil then some = redis.call('EXISTS', P .. 'suspended') == 1 end
  if not some then return nil end
  local name = string.match(j.subject, ':(.*)')
  if redis.call('HEXISTS', P .. 'suspended', name) == 1 then return name end
  local config = redis.call('HGET', P .. 'app:' .. name, 'config')
  return config and redis.call('HEXISTS', P .. 'suspended', config) == 1 and config or nil
end

-- suspend does not launch a job that was read until a person resumes what it is of. The time in due is only the
-- longest wait until that is looked at again.
local function suspend(j, subject)
  j.entry = ''
  delay(j, AT + tonumber(ARGV[10]))
  redis.call('HSET', P .. 'job:' .. j.id, 'suspended', subject, 'detail', subject .. ' is suspended: run `flycd resume ' .. subject .. '`')
  redis.call('SADD', P .. 'suspended:' .. subject, j.id)
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
    if busy and busy ~= j.id then
      drop(e)
      park(j)
      return nil
    end
    local subject = suspension(j)
    if subject then
      drop(e)
      return suspend(j, subject)
    end
    local o = obstacle(j)
    if not o then
      launch(j)
      return j.id
    end
    drop(e)
    refrain(j, o)
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
