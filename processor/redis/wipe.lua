-- One step of emptying a partition, or refuses and changes nothing. A step may be repeated, also when the
-- emptying has ended.
--
-- KEYS  1 header; for the step 'unlink' then the keys to remove
-- ARGV  1 epoch, 2 version before the emptying, 3 version while it lasts and after it
--       4 step: 'begin', 'unlink' or 'end'
-- Returns {'ok'}
--      or {'fenced', stored epoch}
--      or {'lost', stored version}; {'lost'} without a header

local header = KEYS[1]
local epoch, before, during, step = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local found = redis.call('HMGET', header, 'e', 'v', 'wipe', 'b')
if not found[1] then
  return {'lost'}
end
if found[1] ~= epoch then
  return {'fenced', found[1]}
end

if step == 'begin' and found[2] == before and not found[3] then
  redis.call('HSET', header, 'v', during, 's', '0', 'h', '', 'l', '0', 'o', found[4], 'c', '0',
    'x', '0,0,0,0', 'wipe', '1')
  return {'ok'}
end
-- The version is that of the emptying until the first batch after it: until then there is nothing to lose.
if found[2] ~= during then
  return {'lost', found[2]}
end
if step == 'unlink' then
  redis.call('UNLINK', unpack(KEYS, 2))
elseif step == 'end' then
  redis.call('HDEL', header, 'wipe')
end
return {'ok'}
