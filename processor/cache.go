package processor

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// cache holds stored forms of states of one partition, bounded in bytes. It is
// a ring of segments without pointers, so that the garbage collector has
// nothing to look at: newest writes go to the head segment, and when the ring
// is full the oldest segment is dropped, save for entries that were read since.
type cache struct {
	index    map[uint64]place
	segments [][]byte
	head     int  // segment written to
	limit    int  // segments
	evicted  bool // something that the store has is not here
}

// place is where an entry lies.
type place struct {
	segment uint32
	offset  uint32
	used    bool
}

const segmentSize = 1 << 20

// newCache returns a cache of about size bytes, at least two segments.
func newCache(size int) *cache {
	return &cache{index: map[uint64]place{}, limit: max(2, size/segmentSize)}
}

// get returns the state's bytes, valid until the next put, and whether the user
// is known.
func (c *cache) get(user string) ([]byte, bool) {
	h := xxhash.Sum64String(user)
	at, ok := c.index[h]
	if !ok {
		return nil, false
	}
	id, state := c.read(at)
	if string(id) != user {
		return nil, false
	}
	if !at.used {
		at.used = true
		c.index[h] = at
	}
	return state, true
}

func (c *cache) read(at place) (user, state []byte) {
	b := c.segments[at.segment][at.offset:]
	n, k := binary.Uvarint(b)
	b = b[k:]
	user, b = b[:n], b[n:]
	n, k = binary.Uvarint(b)
	return user, b[k : k+int(n)]
}

func (c *cache) put(user string, state []byte) {
	c.write(xxhash.Sum64String(user), user, state)
}

func (c *cache) write(h uint64, user string, state []byte) {
	size := len(user) + len(state) + 2*binary.MaxVarintLen32
	if size > segmentSize {
		// Too large to keep: the store has it.
		delete(c.index, h)
		c.evicted = true
		return
	}
	if old, ok := c.index[h]; ok {
		if other, _ := c.read(old); string(other) != user {
			c.evicted = true // two users share a hash: the older one goes
		}
	}
	if len(c.segments) == 0 {
		c.segments = append(c.segments, make([]byte, 0, segmentSize))
	}
	for len(c.segments[c.head])+size > segmentSize {
		c.advance()
	}
	seg := c.segments[c.head]
	at := place{segment: uint32(c.head), offset: uint32(len(seg))}
	seg = binary.AppendUvarint(seg, uint64(len(user)))
	seg = append(seg, user...)
	seg = binary.AppendUvarint(seg, uint64(len(state)))
	c.segments[c.head] = append(seg, state...)
	c.index[h] = at
}

// advance moves to the next segment. What was in it goes, but for current
// entries that were read since they were written: they get a second turn.
func (c *cache) advance() {
	if len(c.segments) < c.limit {
		c.segments = append(c.segments, make([]byte, 0, segmentSize))
		c.head = len(c.segments) - 1
		return
	}
	c.head = (c.head + 1) % len(c.segments)
	old := c.segments[c.head]
	kept := make([]byte, 0, segmentSize)
	for offset := 0; offset < len(old); {
		at := place{segment: uint32(c.head), offset: uint32(offset)}
		user, state := c.read(at)
		end := offset + uvarintLen(len(user)) + len(user) + uvarintLen(len(state)) + len(state)
		h := xxhash.Sum64(user)
		if cur, ok := c.index[h]; ok && cur.segment == at.segment && cur.offset == at.offset {
			// At most half of the segment is kept, so that there is room.
			if cur.used && len(kept)+end-offset <= segmentSize/2 {
				c.index[h] = place{segment: uint32(c.head), offset: uint32(len(kept))}
				kept = append(kept, old[offset:end]...)
			} else {
				delete(c.index, h)
				c.evicted = true
			}
		}
		offset = end
	}
	c.segments[c.head] = kept
}

func uvarintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}
