package oracle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// The arms of the benchmark's experiments, each with half of the users.
const (
	Control   = "control"   // buckets 0..4999
	Treatment = "treatment" // buckets 5000..9999
)

// Bucket returns 0..9999 for a user in the experiment with this salt: the high
// 64 bits of xxhash64("variant" NUL salt NUL user) * 10000.
func Bucket(salt, user string) uint64 {
	hi, _ := bits.Mul64(xxhash.Sum64String("variant\x00"+salt+"\x00"+user), 10_000)
	return hi
}

// Arm returns the arm of a user in a 50/50 experiment.
func Arm(salt, user string) string {
	if Bucket(salt, user) < 5000 {
		return Control
	}
	return Treatment
}

// CommandID returns the id of the send of a rule without a key, in its only
// step: lower-case hex of the first 16 bytes of SHA-256 over rule, user,
// instance key, step and trigger id, each with its length (4 bytes, big-endian)
// in front.
func CommandID(rule, user, triggerID string) string {
	var buf []byte
	for _, part := range []string{rule, user, "", "0", triggerID} {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(part)))
		buf = append(buf, part...)
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:16])
}
