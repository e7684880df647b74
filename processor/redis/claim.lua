-- Takes a partition under a new epoch, or refuses and changes nothing.
--
-- KEYS  1 header, 2 outbox, 3 set of timer buckets, 4 names
-- ARGV  1 id, 2 epoch, 3 claimer, 4 base, 5 number of user buckets of a header that has to be made;
--       6 identity that is taken over, empty if none is; 7 the offset it then gets;
--       then the names of rules: id, name, id, name, ...
-- Returns {'identity', stored id}
--      or {'fenced', stored epoch, stored claimer}
--      or {'ok', header as in HGETALL, outbox (seq, records, ...), names as in HGETALL, timer buckets}
--
-- A call that finds its own epoch and claimer changes neither epoch nor version: it is the same call
-- repeated, maybe long after the first.

local header, outbox, timers, names = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, epoch, claimer = ARGV[1], ARGV[2], ARGV[3]

-- Numbers of 64 bits do not fit Lua's, so they are compared as decimal text without sign.
local function above(a, b)
  return #a > #b or (#a == #b and a > b)
end

local found = redis.call('HMGET', header, 'id', 'e', 'w')
local exists = redis.call('EXISTS', header) == 1
if exists and found[1] ~= id and (ARGV[6] == '' or found[1] ~= ARGV[6]) then
  return {'identity', found[1] or ''}
end
local own = exists and found[2] == epoch and found[3] == claimer
if exists and not own and not above(epoch, found[2]) then
  return {'fenced', found[2], found[3] or ''}
end

-- All that can fail for a key of the wrong type is read before the first write.
local entries = redis.call('LRANGE', outbox, 0, -1)
local buckets = redis.call('SMEMBERS', timers)
local known = redis.call('HGETALL', names)

if not exists then
  redis.call('HSET', header, 'id', id, 'e', epoch, 'v', '0', 'w', claimer, 's', '0', 'h', '', 'l', '0',
    'o', ARGV[4], 'c', '0', 'b', ARGV[4], 'x', '0,0,0,0', 'u', ARGV[5], 'wipe', '1')
elseif not own then
  redis.call('HSET', header, 'e', epoch, 'v', '0', 'w', claimer)
  if ARGV[6] ~= '' then
    redis.call('HSET', header, 'id', id, 'o', ARGV[7])
  end
end
-- unpack fails near 8,000 values.
for first = 8, #ARGV, 2000 do
  redis.call('HSET', names, unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
return {'ok', redis.call('HGETALL', header), entries, known, buckets}
