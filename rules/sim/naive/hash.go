package naive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// bucket is 0..9999: the high 64 bits of the 128-bit product of 10000 and the
// hash of kind, salt and unit with NULs between.
func bucket(kind, salt, unit string) int {
	h := new(big.Int).SetUint64(xxhash.Sum64String(kind + "\x00" + salt + "\x00" + unit))
	h.Mul(h, big.NewInt(10_000))
	return int(h.Rsh(h, 64).Int64())
}

// heldOut says that a user is in the holdout.
func (h *Holdout) heldOut(user string) bool {
	return h != nil && bucket("holdout", h.Salt, user) < int(math.Round(h.Percent*100))
}

// arm is the user's arm, or takesPart false for who is outside of the layer's
// slot or of the coverage.
func (x *Experiment) arm(user string) (arm string, takesPart bool) {
	if l := x.Layer; l != nil {
		if b := bucket("layer", l.Name, user); b < l.From*100 || b >= l.To*100 {
			return "", false
		}
	}
	salt, coverage := x.Salt, x.Coverage
	if salt == "" {
		salt = x.Name
	}
	if coverage == 0 {
		coverage = 100
	}
	total := 0
	for _, a := range x.Arms {
		total += a.Weight
	}
	b, from, sum := bucket("variant", salt, user), 0, 0
	for _, a := range x.Arms {
		sum += a.Weight
		to := 10_000 * sum / total
		if b < to {
			return a.Name, b < from+(to-from)*coverage/100
		}
		from = to
	}
	panic(fmt.Sprintf("no arm for bucket %d", b))
}

// commandID is the first half of SHA-256 over the five parts, each with its
// length before it.
func commandID(rule, user, key string, step int, trigger string) string {
	h := sha256.New()
	for _, part := range []string{rule, user, key, strconv.Itoa(step), trigger} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// PartitionOf is the partition of n in which Kafka's default partitioner puts a
// user: murmur2 of the name without its sign, modulo n.
func PartitionOf(user string, n int) int32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(user))
	rest := []byte(user)
	for len(rest) >= 4 {
		k := (uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16 | uint32(rest[3])<<24) * m
		h = h*m ^ (k^k>>24)*m
		rest = rest[4:]
	}
	for i := len(rest) - 1; i >= 0; i-- {
		h ^= uint32(rest[i]) << (8 * i)
		if i == 0 {
			h *= m
		}
	}
	h = (h ^ h>>13) * m
	h ^= h >> 15
	return int32(h&0x7fffffff) % int32(n)
}
