-- push makes wishes: all jobs of one chunk, and with the last chunk the delivery's answer, at once.
--
-- ARGV[1]   the delivery's GUID; empty: nothing is remembered
-- ARGV[2]   seconds that the answer is kept
-- ARGV[3]   seconds that an ended job is kept
-- ARGV[4]   the answer's JSON up to the first job of this chunk
-- ARGV[5]   the answer's JSON after the last job; empty: another chunk follows
-- ARGV[6…]  15 per job: id, kind, subject key, stream, JSON, side, half, half without its commit,
--           time, before, after, force (1 or empty), by hand (1 or empty), milliseconds that it is delayed, the
--           answer's JSON up to the state
-- Returns   {1, answer} for a delivery that is known, else {0, answer so far}.
--
-- A wish without a time, or with one that is a minute ahead of this server's clock, is of the time of its
-- arrival: a wrong clock must not put off every later push.
--
-- A job with a delay waits for it even where its subject is busy meanwhile.
--
-- Safe to repeat: a known job stays as it is and answers its state.

local AT

-- moment gives the time that a wish counts from.
local function moment(time) return (time <= 0 or time > AT + 60000) and AT or time end

-- wish writes the half that the job names, if it is not older than the one that is known, and
-- returns the id of the newer wish's job otherwise.
local function wish(j, side, half, unpinned)
  local d = P .. 'desired:' .. j.name
  local m = redis.call('HMGET', d, side .. '_time', side .. '_before', side .. '_after', side .. '_job', side .. '_tie')
  local tie = ''
  if m[1] then
    local c = compare(j, { time = tonumber(m[1]), before = m[2], after = m[3] })
    if c < 0 then return m[4] end
    -- Which of several pushes in one tick is the head cannot be told from here: let the forge say.
    if c == 0 or (m[5] == '1' and tonumber(m[1]) == j.time) then tie, half = '1', unpinned end
  end
  redis.call('HSET', d, side, half, side .. '_time', text(j.time), side .. '_before', j.before,
    side .. '_after', j.after, side .. '_job', j.id, side .. '_tie', tie)
end

-- push adds one job and returns its state.
local function push(j, json, half, unpinned, ttl)
  local key = P .. 'job:' .. j.id
  local known = redis.call('HGET', key, 'state')
  if known then return known end
  local by = j.side ~= '' and wish(j, j.side, half, unpinned)
  if j.force ~= '' and not by then redis.call('HSET', P .. 'desired:' .. j.name, 'force', j.id) end
  local s = P .. j.subject
  local busy, next_id = unpack(redis.call('HMGET', s, 'active', 'next'))
  local n = not by and next_id and load(next_id)
  local ousted = ''
  if n and pending(n.state) then
    if outranks(j, n) then
      shut(n, 'superseded', AT, ttl, j.id)
      inherit(j, n)
      ousted = n.id
    else
      by = n.id
      inherit(n, j)
      if n.hand ~= '' then redis.call('HSET', P .. 'job:' .. by, 'hand', 1) end
      if n.hand ~= '' and n.suspended ~= '' then again(n) end
    end
  end
  local state, entry = 'waiting', ''
  if by then
    state = 'superseded'
  elseif busy and holder(j.subject) then
    state = 'parked'
  elseif j.delay > 0 then
    state = 'delayed'
    redis.call('ZADD', P .. 'delayed', text(AT + j.delay), j.id)
    redis.call('HSET', key, 'due', text(AT + j.delay))
  else
    entry = redis.call('XADD', P .. j.stream, '*', 'job', j.id)
  end
  redis.call('HSET', key, 'job', json, 'kind', j.kind, 'subject', j.subject, 'stream', j.stream, 'state', state,
    'side', j.side, 'entry', entry, 'time', text(j.time), 'before', j.before, 'after', j.after, 'queued', text(AT))
  redis.call('XADD', P .. 'events', 'MAXLEN', '~', '10000', '*', 'job', j.id, 'subject', j.subject, 'state', state,
    'supersedes', ousted)
  if by then
    redis.call('HSET', key, 'superseded_by', by, 'ended', text(AT))
    redis.call('EXPIRE', key, ttl)
  else
    redis.call('HSET', s, 'next', j.id, 'next_kind', j.kind)
    if j.delay > 0 then redis.call('HSET', key, 'floor', text(AT + j.delay)) end
    if j.kind == 'plan' then redis.call('PERSIST', s) end
    dig(j)
  end
  if j.hand ~= '' then redis.call('HSET', key, 'hand', 1) end
  return state
end

local guid = ARGV[1]
if guid ~= '' then
  local answer = redis.call('GET', P .. 'delivery:' .. guid)
  if answer then return { 1, answer } end
end
AT = now()
local parts = {}
for i = 6, #ARGV, 15 do
  local j = {
    id = ARGV[i], kind = ARGV[i + 1], subject = ARGV[i + 2], stream = ARGV[i + 3],
    name = string.match(ARGV[i + 2], ':(.*)'),
    side = ARGV[i + 5], time = moment(tonumber(ARGV[i + 8])), before = ARGV[i + 9], after = ARGV[i + 10],
    force = ARGV[i + 11], hand = ARGV[i + 12], delay = tonumber(ARGV[i + 13]),
  }
  local state = push(j, ARGV[i + 4], ARGV[i + 6], ARGV[i + 7], ARGV[3])
  parts[#parts + 1] = ARGV[i + 14] .. state .. '"}'
end
local answer = ARGV[4] .. table.concat(parts, ',') .. ARGV[5]
if guid ~= '' and ARGV[5] ~= '' then redis.call('SET', P .. 'delivery:' .. guid, answer, 'EX', ARGV[2]) end
return { 0, answer }
