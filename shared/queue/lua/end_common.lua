-- end_common.lua stands after common.lua, before the same scripts: how jobs end, and what follows then.

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
