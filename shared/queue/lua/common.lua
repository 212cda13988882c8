-- common.lua stands before every script that does not name the prefix itself: the nouns that the
-- moves share. end_common.lua follows it.
--
-- KEYS[1]  the prefix; every key begins with it
--
-- Times are Unix milliseconds of this server's own clock. A job is never decoded here: what a move
-- must know of it stands in fields of its own beside the JSON.

local P = KEYS[1]
local GROUP, LAUNCH = 'runners', 'launch'

-- now gives the server's time in milliseconds.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- text writes a number without an exponent.
local function text(n) return string.format('%.0f', n) end

-- event tells the status page and the audit what became of a job.
local function event(id, subject, state)
  redis.call('XADD', P .. 'events', 'MAXLEN', '~', '10000', '*', 'job', id, 'subject', subject, 'state', state)
end

-- load reads what the moves need of a job; nil when there is none or it is no hash.
local function load(id)
  local m = redis.pcall('HMGET', P .. 'job:' .. id, 'state', 'stream', 'entry', 'subject', 'kind', 'attempt',
    'failed', 'lost', 'machine', 'fence', 'time', 'before', 'after', 'cancel', 'deadline', 'side', 'waits',
    'suspended', 'floor', 'hand')
  if m.err or not m[1] or not m[4] then return nil end
  return {
    id = id, state = m[1], stream = m[2] or 'jobs', entry = m[3] or '', subject = m[4], kind = m[5] or '',
    attempt = tonumber(m[6]) or 0, failed = tonumber(m[7]) or 0, lost = tonumber(m[8]) or 0,
    machine = m[9] or '', fence = m[10] or '', time = tonumber(m[11]) or 0, before = m[12] or '',
    after = m[13] or '', cancel = m[14], deadline = tonumber(m[15]) or 0, side = m[16] or '', waits = m[17] or '',
    suspended = m[18] or '', floor = tonumber(m[19]) or 0, hand = m[20] or '',
  }
end

-- compare says whether wish a, which arrives later, is newer than b: 1 newer, -1 older, 0 when
-- two pushes of one time are no neighbours, so that only the forge knows which is the head.
local function compare(a, b)
  if a.time ~= b.time then return a.time > b.time and 1 or -1 end
  if a.after == '' or b.after == '' or a.after == b.after then return 1 end
  local follows, precedes = a.before == b.after, b.before == a.after
  if follows == precedes then return 0 end
  return follows and 1 or -1
end

-- outranks tells whether job a, which arrives later, takes the place of b, which waits for the same
-- subject. A destroy follows from the config; a push to the source does not contradict it.
local function outranks(a, b)
  if a.kind ~= b.kind and a.side == 'source' then return false end
  if a.kind ~= b.kind and b.side == 'source' then return true end
  return compare(a, b) >= 0
end

-- active tells whether a state has a machine.
local function active(state) return state == 'launching' or state == 'claimed' end

-- pending tells whether a state still waits for a machine.
local function pending(state) return state == 'waiting' or state == 'parked' or state == 'delayed' end

-- unqueue takes the job's entry out of its stream: XACK and XDEL belong together.
local function unqueue(j)
  if j.entry == '' then return end
  redis.call('XDEL', P .. j.stream, j.entry)
  -- A waiting job's entry was not read yet.
  if j.state ~= 'waiting' then redis.call('XACK', P .. j.stream, GROUP, j.entry) end
  if j.machine ~= '' then redis.pcall('XGROUP', 'DELCONSUMER', P .. j.stream, GROUP, j.machine) end
  j.entry = ''
end

-- unwait ends a job's wait for another app, and for the end of a suspension.
local function unwait(j)
  for why, set in pairs({ waits = P .. 'waits:', suspended = P .. 'suspended:' }) do
    if j[why] ~= '' then
      redis.call('SREM', set .. j[why], j.id)
      redis.call('HDEL', P .. 'job:' .. j.id, why)
      j[why] = ''
    end
  end
end

-- delay lets a job wait, in no stream, until it is due.
local function delay(j, due)
  redis.call('ZADD', P .. 'delayed', text(due), j.id)
  redis.call('HSET', P .. 'job:' .. j.id, 'state', 'delayed', 'entry', '', 'due', text(due))
  event(j.id, j.subject, 'delayed')
end

-- enqueue makes a job waiting: a new entry, which holds only its id. One that was pushed with a delay is
-- delayed for as long as that lasts, whatever happened meanwhile.
local function enqueue(j)
  if j.waits ~= '' or j.suspended ~= '' then redis.call('HDEL', P .. 'job:' .. j.id, 'detail') end
  unwait(j)
  if j.floor > 0 and j.floor > now() then return delay(j, j.floor) end
  j.entry = redis.call('XADD', P .. j.stream, '*', 'job', j.id)
  redis.call('HSET', P .. 'job:' .. j.id, 'state', 'waiting', 'entry', j.entry)
  event(j.id, j.subject, 'waiting')
end

-- park lets a job wait, in no stream, until its subject is free.
local function park(j)
  unwait(j)
  redis.call('HSET', P .. 'job:' .. j.id, 'state', 'parked', 'entry', '')
  event(j.id, j.subject, 'parked')
end

-- holder gives the active job of a subject. A job that is gone, with the server's memory or by
-- hand, holds nothing.
local function holder(subject)
  local id = redis.call('HGET', P .. subject, 'active')
  if not id then return nil end
  local j = load(id)
  if j and active(j.state) then return id end
  redis.call('HDEL', P .. subject, 'active', 'active_kind')
  return nil
end

-- revive lets a job that ended for the sake of another app wait again, unless its own app has had
-- another job since.
local function revive(j)
  local s = redis.call('HMGET', P .. j.subject, 'last', 'next')
  if s[1] ~= j.id or s[2] or holder(j.subject) then return unwait(j) end
  redis.call('HDEL', P .. 'job:' .. j.id, 'ended', 'since')
  redis.call('PERSIST', P .. 'job:' .. j.id)
  redis.call('PERSIST', P .. 'log:' .. j.id)
  redis.call('HSET', P .. j.subject, 'next', j.id, 'next_kind', j.kind)
  enqueue(j)
end

-- again lets a delayed job be looked at: it waits, or is parked behind what a person's process does meanwhile.
local function again(j)
  redis.call('ZREM', P .. 'delayed', j.id)
  if holder(j.subject) then park(j) else enqueue(j) end
end

-- wake lets those jobs be looked at again that wait for an app, and, when that has been deployed well,
-- those that ended because it had not.
local function wake(name, done)
  local key = P .. 'waits:' .. name
  for _, id in ipairs(redis.call('SMEMBERS', key)) do
    local j = load(id)
    if not j or j.waits ~= name then
      redis.call('SREM', key, id)
    elseif j.state == 'delayed' then
      again(j)
    elseif done then
      revive(j)
    end
  end
end

-- entry_of gives what the current generation of its tree says of an app, and that tree's id and generation; '' where no
-- tree names it now.
local function entry_of(app)
  local config = redis.call('HGET', P .. 'app:' .. app, 'config')
  if not config then return '', '', '0' end
  local generation = redis.call('HGET', P .. 'config:' .. config, 'generation') or '0'
  return redis.call('HGET', P .. 'catalog:' .. config .. ':' .. generation, app) or '', config, generation
end
