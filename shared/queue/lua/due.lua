-- due catches up with the clock: launches and claims past their deadline are lost, delayed jobs
-- whose time has come wait again, entries that a crash left between two moves are queued again.
--
-- ARGV[1]  most of each to do
-- ARGV[2]  most lost attempts
-- ARGV[3]  first backoff in milliseconds
-- ARGV[4]  seconds that an ended job is kept
-- ARGV[5]  milliseconds until a job that is held back by a suspension is looked at again
-- Returns  {lapsed, released, reclaimed, more 0|1, ms until something is due or -1, active}

local at, limit = now(), tonumber(ARGV[1])

-- lapse gives up the attempts whose deadline has passed.
local function lapse()
  local ids = redis.call('ZRANGEBYSCORE', P .. 'active', '-inf', text(at), 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    local j = load(id)
    if j and active(j.state) then
      local why = j.state == 'launching' and 'no machine claimed attempt ' .. j.attempt .. ' in time'
        or 'machine ' .. j.machine .. ' stopped holding attempt ' .. j.attempt
      lose(j, why, tonumber(ARGV[2]), tonumber(ARGV[3]), at, ARGV[4])
    else
      redis.call('ZREM', P .. 'active', id)
    end
  end
  return #ids
end

-- release queues the delayed jobs that are due. An app that a person's process took meanwhile is busy. A suspension
-- that nobody ended lasts on.
local function release()
  local ids = redis.call('ZRANGEBYSCORE', P .. 'delayed', '-inf', text(at), 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    local j = load(id)
    if not j or j.state ~= 'delayed' then
      redis.call('ZREM', P .. 'delayed', id)
    elseif j.suspended ~= '' and redis.call('HEXISTS', P .. 'suspended', j.suspended) == 1 then
      redis.call('ZADD', P .. 'delayed', text(at + tonumber(ARGV[5])), id)
    else
      again(j)
    end
  end
  return #ids
end

-- reclaim queues jobs again whose entry was read, but which nobody marked as launching. Moves are
-- atomic, so only a hand that read the stream by itself, or a script that broke off, leaves them.
local function reclaim(stream)
  local list = redis.pcall('XPENDING', P .. stream, GROUP, '-', '+', limit + redis.call('ZCARD', P .. 'active'))
  if list.err then return 0 end
  local n = 0
  for _, p in ipairs(list) do
    local e = redis.call('XRANGE', P .. stream, p[1], p[1])
    local id = e[1] and e[1][2][1] == 'job' and e[1][2][2] or ''
    local j = load(id)
    if not j or j.entry ~= p[1] or not active(j.state) then
      n = n + 1
      redis.call('XACK', P .. stream, GROUP, p[1])
      redis.call('XDEL', P .. stream, p[1])
      if not j then
        redis.call('XADD', P .. 'dead', 'MAXLEN', '~', '10000', '*', 'job', id, 'subject', '', 'why',
          'entry ' .. p[1] .. ' of ' .. stream .. ' names no job')
      elseif j.entry == p[1] and j.state == 'waiting' then
        j.entry = ''
        enqueue(j)
      end
    end
  end
  return n
end

-- strays tells whether more entries were read than jobs are active: each active job has one. It
-- saves every pass from looking at all of them.
local function strays()
  local read = 0
  for _, stream in ipairs({ 'jobs', 'jobs:low' }) do
    local summary = redis.pcall('XPENDING', P .. stream, GROUP)
    read = read + (not summary.err and summary[1] or 0)
  end
  return read > redis.call('ZCARD', P .. 'active')
end

-- wait gives the milliseconds until the first member of a zset is due.
local function wait(key)
  local first = redis.call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')
  return first[2] and math.max(tonumber(first[2]) - at, 0) or -1
end

local lapsed, released = lapse(), release()
local reclaimed = strays() and reclaim('jobs') + reclaim('jobs:low') or 0
local a, b = wait('active'), wait('delayed')
local next_due = (a < 0 or (b >= 0 and b < a)) and b or a
return { lapsed, released, reclaimed, (lapsed >= limit or released >= limit) and 1 or 0, next_due,
  redis.call('ZCARD', P .. 'active') }
