-- Applies a batch, or refuses and changes nothing.
--
-- KEYS  1 header, 2 outbox, 3 set of timer buckets; then, in the order of ARGV, the timer lists that are
--       over, the timer lists that lose entries, the timer lists that get entries, the user buckets, and for each user that is deleted the
--       bucket. All keys are named here, none is
--       built below: so a Cluster that is moving the slot refuses the call before it begins.
--       A check needs only 1 to 3.
-- ARGV  1 epoch, 2 version that the header must hold, 3 version after it
--       4 seq up to which the outbox has been published
--       5 s, 6 h, 7 l, 8 o, 9 c, 10 b, 11 x, 12 y: the header after it
--       13 seq of the outbox entry, empty if there is none; 14 its records
--       15 'check' answers only as 'write' would, and needs no further arguments
--       16 how many timer buckets are over; their numbers
--       then how many timer buckets lose entries; for each its number, count of entries, entries
--       then how many timer buckets get entries; for each its number, count of entries, entries
--       then how many user buckets are written; for each count of values, user, state, user, state, ...
--       then how many users are deleted; the users
-- Returns {'ok'}
--      or {'done'}: this very call was applied before
--      or {'fenced', stored epoch}
--      or {'lost', stored version, 1 if the partition is being emptied}; {'lost'} without a header
--
-- A script that fails midway is not rolled back. What Redis refuses because of its own condition (memory,
-- disk, replicas, role) it refuses at the first write and lets pass afterwards: so the first write changes
-- nothing and is one that needs memory. Version and outbox come last: nothing before them counts until they
-- are written, and a repetition writes it again.

local header, outbox, timers = KEYS[1], KEYS[2], KEYS[3]
local epoch, version, after, published = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local found = redis.call('HMGET', header, 'e', 'v', 'wipe', 's', 'o', 'c')
if not found[1] then
  return {'lost'}
end
if found[1] ~= epoch then
  return {'fenced', found[1]}
end
if found[3] then
  return {'lost', found[2], '1'}
end
if found[2] == after and found[4] == ARGV[5] and found[5] == ARGV[8] and found[6] == ARGV[9] then
  return {'done'}
end
if found[2] ~= version then
  return {'lost', found[2]}
end
if ARGV[15] == 'check' then
  return {'ok'}
end

redis.call('HSET', header, 'e', epoch)

local k = 4   -- next key
local a = 16  -- next argument

-- write calls command with the next n arguments, in portions: unpack fails near 8,000 values. Even portions
-- keep field and value together.
local function write(command, key, n)
  local last = a + n - 1
  for first = a, last, 2000 do
    redis.call(command, key, unpack(ARGV, first, math.min(first + 1999, last)))
  end
  a = last + 1
end

local function number()
  a = a + 1
  return tonumber(ARGV[a - 1])
end

local over = number()
if over > 0 then
  write('SREM', timers, over)
  for i = k, k + over - 1 do
    redis.call('UNLINK', KEYS[i])
  end
  k = k + over
end

for i = 1, number() do
  local bucket = ARGV[a]
  a = a + 1
  for j = 1, number() do
    redis.call('LREM', KEYS[k], 0, ARGV[a])
    a = a + 1
  end
  if redis.call('EXISTS', KEYS[k]) == 0 then
    redis.call('SREM', timers, bucket)
  end
  k = k + 1
end

for i = 1, number() do
  redis.call('SADD', timers, ARGV[a])
  a = a + 1
  write('RPUSH', KEYS[k], number())
  k = k + 1
end

for i = 1, number() do
  write('HSET', KEYS[k], number())
  k = k + 1
end

for i = 1, number() do
  redis.call('HDEL', KEYS[k], ARGV[a])
  a = a + 1
  k = k + 1
end

while true do
  local seq = redis.call('LINDEX', outbox, 0)
  if not seq or tonumber(seq) > published then
    break
  end
  redis.call('LTRIM', outbox, 2, -1)
end
if ARGV[13] ~= '' then
  redis.call('RPUSH', outbox, ARGV[13], ARGV[14])
end
redis.call('HSET', header, 'v', after, 's', ARGV[5], 'h', ARGV[6], 'l', ARGV[7], 'o', ARGV[8], 'c', ARGV[9],
  'b', ARGV[10], 'x', ARGV[11], 'y', ARGV[12])
return {'ok'}
