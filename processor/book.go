package processor

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// book holds the stored forms of states of one partition, bounded in bytes:
// those that the open batch has changed, and as many others as there is room
// for. It has no pointers in it, so that the garbage collector has nothing to
// look at: a ring of segments, and an index by 128 bits of hash. A state that
// grows is written anew at the head; when the ring is full, the oldest segment
// is given up, save for what is changed or was used since it was written.
type book struct {
	index    map[userKey]place
	segments [][]byte
	head     int // segment written to
	limit    int // segments
	size     int // of a segment
	changed  []userKey
	bytes    int  // of changed states
	evicted  bool // something that the store has is not here
}

// userKey stands for a user: xxhash64 of the id, and the end and length of the id
// itself. Two users whose ids share all of that do not occur.
type userKey struct{ a, b uint64 }

func keyOf(user string) userKey {
	tail := user[max(0, len(user)-7):]
	b := uint64(len(user)) << 56
	for i := range len(tail) {
		b |= uint64(tail[i]) << (8 * i)
	}
	return userKey{xxhash.Sum64String(user), b}
}

// place is where an entry lies.
type place struct {
	segment, offset uint32
	changed         bool // by the open batch
	armed           bool // the timer index may need an entry
	used            bool // read since it was written
}

// entryHead is the fixed part of an entry: lengths of user and state, and how
// many bytes the state may grow to.
const entryHead = 2 + 4 + 4

// newBook returns a book of about size bytes, in at least three segments of 64
// KiB to 1 MiB.
func newBook(size int) *book {
	segment := min(max(size/8, 64<<10), 1<<20)
	return &book{index: map[userKey]place{}, size: segment, limit: max(3, size/segment)}
}

// get returns the state's bytes, valid until the next put, and whether the user
// is in the book.
func (b *book) get(k userKey) (state []byte, ok bool) {
	at, ok := b.index[k]
	if !ok {
		return nil, false
	}
	if !at.used {
		at.used = true
		b.index[k] = at
	}
	_, state, _ = b.read(at)
	return state, true
}

func (b *book) has(k userKey) bool {
	_, ok := b.index[k]
	return ok
}

func (b *book) read(at place) (user, state []byte, size int) {
	e := b.segments[at.segment][at.offset:]
	n := int(binary.LittleEndian.Uint16(e))
	s := int(binary.LittleEndian.Uint32(e[2:]))
	room := int(binary.LittleEndian.Uint32(e[6:]))
	user = e[entryHead : entryHead+n]
	return user, e[entryHead+n : entryHead+n+s : entryHead+n+s], entryHead + n + room
}

// put enters a state. changed says that the store does not have it yet, armed
// that the timer index may need an entry for it.
func (b *book) put(k userKey, user string, state []byte, changed, armed bool) {
	at, ok := b.index[k]
	if changed && !(ok && at.changed) {
		b.changed = append(b.changed, k)
		b.bytes += len(user) + len(state)
	}
	if ok {
		changed, armed = changed || at.changed, armed || at.armed
		e := b.segments[at.segment][at.offset:]
		n := entryHead + int(binary.LittleEndian.Uint16(e))
		if room := int(binary.LittleEndian.Uint32(e[6:])); len(state) <= room {
			binary.LittleEndian.PutUint32(e[2:], uint32(len(state)))
			copy(e[n:], state)
			if now := (place{at.segment, at.offset, changed, armed, true}); now != at {
				b.index[k] = now
			}
			return
		}
	}
	room := len(state) + len(state)/4 + 8
	at = b.allocate(entryHead + len(user) + room)
	at.changed, at.armed = changed, armed
	seg := b.segments[at.segment]
	e := seg[at.offset:]
	binary.LittleEndian.PutUint16(e, uint16(len(user)))
	binary.LittleEndian.PutUint32(e[2:], uint32(len(state)))
	binary.LittleEndian.PutUint32(e[6:], uint32(room))
	copy(e[entryHead:], user)
	copy(e[entryHead+len(user):], state)
	b.index[k] = at
}

// allocate makes room for an entry at the head. A state larger than a segment
// gets a segment of its own size.
func (b *book) allocate(size int) place {
	for turned := 0; len(b.segments) == 0 || len(b.segments[b.head]) > 0 && len(b.segments[b.head])+size > cap(b.segments[b.head]); turned++ {
		if turned > len(b.segments) {
			b.extend() // something that must stay is in every segment
			break
		}
		b.advance()
	}
	seg := b.segments[b.head]
	if cap(seg) < size {
		seg = make([]byte, 0, size)
	}
	at := place{segment: uint32(b.head), offset: uint32(len(seg))}
	b.segments[b.head] = seg[:len(seg)+size]
	return at
}

// advance moves the head to a segment with room. What was in it goes, but for
// current entries that are changed, or were used and fit in half of it.
func (b *book) advance() {
	if len(b.segments) < b.limit {
		b.extend()
		return
	}
	b.head = (b.head + 1) % len(b.segments)
	old := b.segments[b.head]
	kept := make([]byte, 0, b.size)
	for offset := 0; offset < len(old); {
		user, _, size := b.read(place{segment: uint32(b.head), offset: uint32(offset)})
		k := keyOf(string(user))
		at, ok := b.index[k]
		if ok && at.segment == uint32(b.head) && at.offset == uint32(offset) {
			if at.changed || at.used && len(kept)+size <= b.size/2 {
				at.offset, at.used = uint32(len(kept)), false
				b.index[k] = at
				kept = append(kept, old[offset:offset+size]...)
			} else {
				delete(b.index, k)
				b.evicted = true
			}
		}
		offset += size
	}
	b.segments[b.head] = kept
	if len(kept) > b.size/2 {
		// Full of what must stay: the ring grows for as long as the batch is open.
		b.extend()
	}
}

// extend adds an empty segment and moves the head to it.
func (b *book) extend() {
	b.segments = append(b.segments, make([]byte, 0, b.size))
	b.head = len(b.segments) - 1
}

// eachChanged calls f for every state that the open batch has changed. state is
// valid until the next put.
func (b *book) eachChanged(f func(user string, state []byte)) {
	for _, k := range b.changed {
		user, state, _ := b.read(b.index[k])
		f(string(user), state)
	}
}

// disarm reports whether the entry is armed, and takes that back.
func (b *book) disarm(k userKey) bool {
	at := b.index[k]
	if at.armed {
		at.armed = false
		b.index[k] = at
		return true
	}
	return false
}

// settle notes that the store has everything.
func (b *book) settle() {
	for _, k := range b.changed {
		at := b.index[k]
		at.changed, at.armed = false, false
		b.index[k] = at
	}
	b.changed, b.bytes = b.changed[:0], 0
}
