package processor

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// userKey stands for a user: xxhash64 of the id, and the end and length of the id
// itself. Two users whose ids share all of that do not occur.
type userKey struct{ a, b uint64 }

// hidden is how texts that may be logged name a user: by the hash that the spans and
// the status page have.
func hidden(user string) string { return fmt.Sprintf("user #%016x", xxhash.Sum64String(user)) }

func keyOf(user string) userKey {
	var end uint64 // the last 7 bytes
	if n := len(user); n >= 8 {
		end = binary.LittleEndian.Uint64([]byte(user[n-8:])) >> 8
	} else {
		for i := max(0, n-7); i < n; i++ {
			end = end<<8 | uint64(user[i])
		}
	}
	return userKey{xxhash.Sum64String(user), end | uint64(len(user))<<56}
}

// place is where an entry of the book lies.
type place struct {
	key             userKey
	segment, offset uint32
	changed         bool // by the open batch
	armed           bool // the timer index may need an entry
	used            bool // read since it was written
}

// directory finds places by user: a table with open addressing over a list, with
// no pointers in it. A place keeps its number until it is dropped.
type directory struct {
	table  []uint32 // number of a place + 1; 0: never used; gone: dropped
	places []place
	unused []uint32 // numbers of dropped places
	filled int      // of the table, dropped ones included
}

const gone = ^uint32(0)

// nowhere stands for no place, or for the segment of a place without an entry.
const nowhere = ^uint32(0)

// find returns the number of the user's place.
func (d *directory) find(k userKey) (uint32, bool) {
	if len(d.table) == 0 {
		return 0, false
	}
	mask := uint64(len(d.table) - 1)
	for i := k.a & mask; ; i = (i + 1) & mask {
		switch n := d.table[i]; n {
		case 0:
			return 0, false
		case gone:
		default:
			if d.places[n-1].key == k {
				return n - 1, true
			}
		}
	}
}

// add makes a place for a user who has none.
func (d *directory) add(k userKey) uint32 {
	if 4*(d.filled+1) > 3*len(d.table) {
		d.rebuild()
	}
	var n uint32
	if last := len(d.unused) - 1; last >= 0 {
		n, d.unused = d.unused[last], d.unused[:last]
		d.places[n] = place{key: k}
	} else {
		n = uint32(len(d.places))
		d.places = append(d.places, place{key: k})
	}
	d.enter(n)
	return n
}

// enter puts a place into the table, where no place of the same user is.
func (d *directory) enter(n uint32) {
	mask := uint64(len(d.table) - 1)
	i := d.places[n].key.a & mask
	for d.table[i] != 0 {
		i = (i + 1) & mask
	}
	d.table[i] = n + 1
	d.filled++
}

// rebuild makes a table with room to grow, without what was dropped.
func (d *directory) rebuild() {
	size := 64
	for size < 3*(d.count()+1) {
		size *= 2
	}
	free := make(map[uint32]bool, len(d.unused))
	for _, n := range d.unused {
		free[n] = true
	}
	d.table, d.filled = make([]uint32, size), 0
	for n := range d.places {
		if !free[uint32(n)] {
			d.enter(uint32(n))
		}
	}
}

// drop forgets a place.
func (d *directory) drop(n uint32) {
	mask := uint64(len(d.table) - 1)
	i := d.places[n].key.a & mask
	for d.table[i] != n+1 {
		i = (i + 1) & mask
	}
	d.table[i] = gone
	d.unused = append(d.unused, n)
}

// count is the number of users.
func (d *directory) count() int { return len(d.places) - len(d.unused) }
