-- destroyed notes that an app which its tree stopped naming does not exist any more.
--
-- ARGV[1]  app
-- Returns  1, or 0 when it has no tombstone. Safe to repeat.

local key = tombstone(ARGV[1])
if not key then return 0 end
if redis.call('HSETNX', key, 'gone', text(now())) == 1 then redis.call('EXPIRE', key, 2592000) end
return 1
