-- common.lua stands before every script that does not name the prefix itself: the nouns that the
-- moves share.
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
  for _, why in ipairs({ 'waits', 'suspended' }) do
    if j[why] ~= '' then
      redis.call('SREM', P .. why .. ':' .. j[why], j.id)
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

-- tell notes how a deploy ended, for the apps that depend on its app, and lets them go on. A person's
-- own process deploys what nobody pushed, and so answers no push.
local function tell(j, outcome)
  if j.kind ~= 'deploy' then return end
  local s, done = P .. j.subject, outcome == 'created' or outcome == 'updated' or outcome == 'unchanged'
  if done then
    redis.call('HDEL', s, 'trouble')
    if redis.call('HEXISTS', P .. 'job:' .. j.id, 'entered') == 0 then
      redis.call('HSET', s, 'done', text(math.max(tonumber(redis.call('HGET', s, 'done')) or 0, j.time)))
    end
  elseif outcome == 'failed' or outcome == 'rejected' then
    redis.call('HSET', s, 'trouble', outcome)
  end
  wake(string.match(j.subject, ':(.*)'), done)
end

-- entry_of gives what the current generation of its tree says of an app, and that tree's id and generation; '' where no
-- tree names it now.
local function entry_of(app)
  local config = redis.call('HGET', P .. 'app:' .. app, 'config')
  if not config then return '', '', '0' end
  local generation = redis.call('HGET', P .. 'config:' .. config, 'generation') or '0'
  return redis.call('HGET', P .. 'catalog:' .. config .. ':' .. generation, app) or '', config, generation
end

-- tombstone gives the key of what is known of an app that its tree stopped naming, where there is one.
local function tombstone(app)
  local key = P .. 'tombstone:' .. app
  return redis.call('EXISTS', key) == 1 and key or nil
end

-- dig notes the job that is to destroy an app.
local function dig(j)
  local key = j.kind == 'destroy' and tombstone(string.match(j.subject, ':(.*)'))
  if not key then return end
  redis.call('HSET', key, 'job', j.id)
  redis.call('HDEL', key, 'outcome', 'detail')
end

-- mourn notes how a destroy ended. What is gone is remembered for thirty days.
local function mourn(j, outcome, at)
  local key = j.kind == 'destroy' and tombstone(string.match(j.subject, ':(.*)'))
  if not key or redis.call('HGET', key, 'job') ~= j.id then return end
  redis.call('HSET', key, 'outcome', outcome, 'detail', redis.call('HGET', P .. 'job:' .. j.id, 'detail') or '')
  if outcome == 'updated' or outcome == 'unchanged' then
    redis.call('HSET', key, 'gone', text(at))
    redis.call('EXPIRE', key, 2592000)
  end
end

-- settle lets what is known of a pull request go, some time after its last plan.
local function settle(subject, ttl)
  if string.sub(subject, 1, 10) ~= 'plan:pull:' then return end
  local s = redis.call('HMGET', P .. subject, 'active', 'next')
  if not s[1] and not s[2] then redis.call('EXPIRE', P .. subject, ttl) end
end

-- shut ends a job without an event: nothing of it stays queued, and it may be tidied up after ttl
-- seconds. by is the job that took its place, or ''.
local function shut(j, outcome, at, ttl, by)
  unqueue(j)
  unwait(j)
  if j.state == 'delayed' then redis.call('ZREM', P .. 'delayed', j.id) end
  local key = P .. 'job:' .. j.id
  redis.call('HSET', key, 'state', outcome, 'entry', '', 'ended', text(at), 'superseded_by', by)
  redis.call('EXPIRE', key, ttl)
  if j.attempt > 0 then redis.call('EXPIRE', P .. 'log:' .. j.id, ttl) end
  mourn(j, outcome, at)
  -- one that was superseded leaves another deploy of the app
  if by == '' then
    tell(j, outcome)
    settle(j.subject, ttl)
  end
end

-- close ends a job whose subject, if it was active, is free already.
local function close(j, outcome, at, ttl)
  shut(j, outcome, at, ttl, '')
  event(j.id, j.subject, outcome)
end

-- inherit lets a job count as asked for by a person when it does, in another's place, what a person asked for.
local function inherit(j, from)
  if from.hand ~= '' and from.kind == j.kind then j.hand = from.hand end
end

-- supersede ends a job for a newer one.
local function supersede(j, by, at, ttl)
  shut(j, 'superseded', at, ttl, by.id)
  inherit(by, j)
  if by.hand ~= '' then redis.call('HSET', P .. 'job:' .. by.id, 'hand', 1) end
  event(j.id, j.subject, 'superseded')
end

-- dead ends a job whose attempts are spent and keeps it visible.
local function dead(j, why, at, ttl)
  redis.call('HSET', P .. 'job:' .. j.id, 'detail', why)
  redis.call('XADD', P .. 'dead', 'MAXLEN', '~', '10000', '*', 'job', j.id, 'subject', j.subject, 'why', why)
  redis.call('HSET', P .. j.subject, 'last', j.id, 'last_outcome', 'failed')
  close(j, 'failed', at, ttl)
end

-- free ends the hold that an active job has on its subject.
local function free(j)
  unqueue(j)
  redis.call('ZREM', P .. 'active', j.id)
  redis.call('HDEL', P .. j.subject, 'active', 'active_kind')
end

-- follow queues the wish that was parked while the subject had an active job.
local function follow(subject)
  local id = redis.call('HGET', P .. subject, 'next')
  if not id then return end
  local n = load(id)
  if n and n.state == 'parked' then enqueue(n) end
end

-- withdraw takes back what a job wished, as far as no later push named it.
local function withdraw(j)
  local d = P .. 'desired:' .. string.match(j.subject, ':(.*)')
  for _, side in ipairs({ 'config', 'source' }) do
    if redis.call('HGET', d, side .. '_job') == j.id then redis.call('HDEL', d, side) end
  end
  if redis.call('HGET', d, 'force') == j.id then redis.call('HDEL', d, 'force') end
end

-- call_off ends an active job that a person cancelled.
local function call_off(j, at, ttl)
  free(j)
  withdraw(j)
  close(j, 'cancelled', at, ttl)
  follow(j.subject)
  return 'cancelled'
end

-- back puts an active job back to wait, from now or from due on. If a wish was parked meanwhile,
-- the newer of the two waits and the other is superseded; a cancelled job ends. Returns the job's new state.
local function back(j, due, at, ttl)
  if j.cancel then return call_off(j, at, ttl) end
  free(j)
  local s = P .. j.subject
  local id = redis.call('HGET', s, 'next')
  local n = id and id ~= j.id and load(id)
  if n and pending(n.state) then
    if outranks(n, j) then
      supersede(j, n, at, ttl)
      follow(j.subject)
      return 'superseded'
    end
    supersede(n, j, at, ttl)
  end
  redis.call('HSET', s, 'next', j.id, 'next_kind', j.kind)
  if due > at then
    delay(j, due)
    return 'delayed'
  end
  enqueue(j)
  return 'waiting'
end

-- lose counts a lost attempt: the machine never booted, vanished, or was stopped. The job waits
-- again, or is dead after max of them. Returns its new state.
local function lose(j, why, max, backoff, at, ttl)
  local lost = j.lost + 1
  redis.call('HSET', P .. 'job:' .. j.id, 'lost', lost, 'detail', why)
  if lost < max then return back(j, at + backoff * (lost - 1), at, ttl) end
  free(j)
  dead(j, why, at, ttl)
  follow(j.subject)
  return 'failed'
end
